"""What the lab's Azure holds."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.labs.azure.call import Json
from tests.labs.azure.faults import Trouble

DAY = 86400.0


@dataclass
class Timing:
    """How slow the cloud is, in seconds."""

    deploying: float = 1.0
    """From the deployment's acceptance until its machines exist."""
    allocating: float = 2.0
    """From then until a place is found for a machine, or none."""
    booting: float = 3.0
    """From then until its agent reports, which ends the deployment."""
    listing_delay: float = 0.0
    """How long a new group or machine is missing from listings."""
    security: float = 1.0
    """From a change of a security group's rules until they are in force."""
    going: float = 4.0
    """How long a machine is `Deleting`."""
    group_going: float = 6.0
    """How long a group is `Deleting`: six minutes and a half is the median of what was recorded,
    and forty minutes the longest."""


@dataclass
class Group:
    """A resource group."""

    name: str
    location: str
    tags: Mapping[str, str]
    made_at: float
    ends_at: float | None = None
    """When it will be gone, once it is being deleted."""
    failure: Trouble | None = None
    """Why its last deletion failed: then it stands again, without its machines."""
    resources: dict[str, Json] = field(default_factory=dict)
    """Networks, security groups and schedules, by id in lower case."""
    changes: dict[str, tuple[float, Json]] = field(default_factory=dict)
    """Security groups that are changing, by id in lower case: when it will be done, and to what."""
    shutdowns: dict[str, float] = field(default_factory=dict)
    """When machines are to be deallocated, by their ids in lower case."""


@dataclass
class Machine:
    """A virtual machine, with its interface, address and disk."""

    id: str
    body: Json
    """The resource as the template has it."""
    group: Group
    number: int
    """Of all machines ever made: addresses are made of it."""
    made_at: float
    allocated_at: float
    ready_at: float
    trouble: Trouble | None = None
    power: str = "running"
    ends_at: float | None = None
    noticed: bool = False
    """True once its eviction was announced on itself."""
    held: bool = False
    """True while the real machine behind it is not there yet."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["name"])

    @property
    def spot(self) -> bool:
        """True for a Spot machine."""
        return bool(self.body["properties"].get("priority") == "Spot")

    @property
    def market(self) -> str:
        """`Spot` or `Regular`."""
        return "Spot" if self.spot else "Regular"

    @property
    def size(self) -> str:
        """Its size."""
        return str(self.body["properties"]["hardwareProfile"]["vmSize"])

    @property
    def zone(self) -> str | None:
        """Its availability zone."""
        zones = self.body.get("zones")
        return str(zones[0]) if zones else None

    @property
    def user_data(self) -> bytes:
        """What it boots with."""
        return base64.b64decode(self.body["properties"]["osProfile"]["customData"])

    @property
    def private_address(self) -> str:
        """In the run's network."""
        return f"10.0.{self.number // 250}.{self.number % 250 + 4}"

    @property
    def public_address(self) -> str | None:
        """As seen from outside, when it has one."""
        address = f"20.51.{self.number // 250}.{self.number % 250 + 4}"
        return address if self._address_configuration else None

    @property
    def interface(self) -> Json:
        """The configuration of its interface."""
        profile = self.body["properties"]["networkProfile"]
        found: Json = profile["networkInterfaceConfigurations"][0]
        return found

    @property
    def _address_configuration(self) -> Json | None:
        configuration = self.interface["properties"]["ipConfigurations"][0]["properties"]
        found: Json | None = configuration.get("publicIPAddressConfiguration")
        return found

    def state(self, now: float) -> str:
        """How far Azure is with making it."""
        if self.ends_at is not None:
            return "Deleting"
        if now < self.allocated_at or self.held:
            return "Creating"
        if self.trouble:
            return "Failed"
        return "Creating" if now < self.ready_at else "Succeeded"

    def statuses(self, now: float) -> list[Json]:
        """https://learn.microsoft.com/en-us/azure/virtual-machines/states-billing"""
        state = self.state(now)
        if state == "Failed" and self.trouble:
            return [
                {
                    "code": f"ProvisioningState/failed/{self.trouble.code}",
                    "level": "Error",
                    "displayStatus": "Provisioning failed",
                    "message": self.trouble.words,
                }
            ]
        words = {"Succeeded": "Provisioning succeeded", "Deleting": "Deleting"}
        code = f"ProvisioningState/{state.lower()}"
        found: list[Json] = [
            {"code": code, "level": "Info", "displayStatus": words.get(state, "Creating")}
        ]
        if now >= self.allocated_at and not self.held and self.ends_at is None:
            shown = f"VM {self.power}"
            power = {"code": f"PowerState/{self.power}", "level": "Info", "displayStatus": shown}
            found.append(power)
        return found


@dataclass
class Deployment:
    """A deployment of a template."""

    name: str
    group: Group
    machines: list[Machine]
    made_at: float
    cancelled: bool = False

    def state(self, now: float) -> str:
        """How far it is: it fails when one of its machines did, and all others are done."""
        if self.cancelled:
            return "Canceled"
        states = [machine.state(now) for machine in self.machines]
        if "Creating" in states:
            return "Running"
        return "Failed" if any(machine.trouble for machine in self.machines) else "Succeeded"


def stamp(moment: float) -> str:
    """A time as Azure writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".1234567+00:00"


def next_time(time_of_day: str, now: float) -> float:
    """When it will next be this time (UTC, HHMM)."""
    seconds = int(time_of_day[:2]) * 3600 + int(time_of_day[2:]) * 60
    midnight = now - now % DAY
    return midnight + seconds + (DAY if midnight + seconds <= now else 0)
