"""What the lab's cloud keeps. What a thing is doing is worked out from its times and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.labs.gcp.catalogue import ROOT, ZONES
from tests.labs.gcp.faults import Trouble


@dataclass
class Timing:
    """How slow the cloud is, in seconds."""

    operation: float = 0.02
    """From a call until its operation is done; half of it PENDING, half RUNNING."""
    longest_wait: float = 120.0
    """How long a call to `wait` waits at most."""
    boot: float = 0.0
    """From the end of the operation until RUNNING, first PROVISIONING and then STAGING."""
    listing_delay: float = 0.0
    """For so long a listing lacks a new instance, disk or firewall rule; a direct question finds
    it."""
    going: float = 0.0
    """How long an instance is STOPPING before it is gone or TERMINATED."""
    clock: Callable[[], float] = time.time


@dataclass
class VpcNetwork:
    """A network: one that makes a subnetwork of its name in each region, or one in custom mode."""

    automatic: bool = True
    subnetworks: set[tuple[str, str]] = field(default_factory=set)
    """Region and name, in custom mode."""

    def paths(self, project: str, name: str) -> list[str]:
        """Its subnetworks."""
        here = {(region, name) for region in ZONES} if self.automatic else self.subnetworks
        return [f"projects/{project}/regions/{region}/subnetworks/{one}" for region, one in here]


@dataclass
class Instance:
    """One instance. Times are Unix seconds."""

    name: str
    zone: str
    number: int
    properties: dict[str, Any]
    made_at: float
    runs_at: float
    public: str
    private: str
    ends_at: float | None = None
    """When it was told to end, or was taken."""
    delete: bool = True
    """Whether ending deletes it; else it becomes TERMINATED."""
    gone_at: float | None = None
    noticed: bool = False
    """Whether its preemption was announced."""
    running: bool = True
    """False while a machine behind it has not booted."""

    @property
    def scheduling(self) -> dict[str, Any]:
        """As it was asked for."""
        found: dict[str, Any] = self.properties["scheduling"]
        return found

    @property
    def spot(self) -> bool:
        """Whether it may be preempted."""
        return self.scheduling.get("provisioningModel") == "SPOT"

    @property
    def ended(self) -> bool:
        """True once it was told to end."""
        return self.ends_at is not None

    def metadata(self, key: str) -> str | None:
        """One metadata value."""
        items = self.properties.get("metadata", {}).get("items", [])
        return next((str(item["value"]) for item in items if item["key"] == key), None)

    def exists(self, now: float) -> bool:
        """False once it is deleted."""
        return not (self.delete and self.gone_at is not None and now >= self.gone_at)

    def status(self, now: float) -> str:
        """https://cloud.google.com/compute/docs/instances/instance-lifecycle"""
        if self.ends_at is not None and now >= self.ends_at:
            over = self.gone_at is not None and now >= self.gone_at
            return "TERMINATED" if over else "STOPPING"
        if now < (self.made_at + self.runs_at) / 2:
            return "PROVISIONING"
        return "RUNNING" if now >= self.runs_at and self.running else "STAGING"


@dataclass
class Operation:
    """A long-running operation. Times are Unix seconds."""

    name: str
    number: int
    type: str
    target: str
    """Below the API's root."""
    scope: str
    """`zones/ZONE` or `global`."""
    project: str
    made_at: float
    done_at: float
    errors: list[Trouble] = field(default_factory=list)
    group: str = ""
    created: int | None = None
    """Of a bulk insert: how many instances it made."""
    wanted: int = 0
    user: str = "deployer@lab-project.iam.gserviceaccount.com"
    words: str = ""
    request: str = ""
    target_number: int = 0

    def status(self, now: float) -> str:
        """PENDING, RUNNING, DONE: a third of the way each, but for the last."""
        if now >= self.done_at:
            return "DONE"
        return "PENDING" if now < (self.made_at + self.done_at) / 2 else "RUNNING"

    def resource(self, now: float) -> dict[str, Any]:
        """As the API shows it."""
        done = self.status(now) == "DONE"
        shown: dict[str, Any] = {
            "kind": "compute#operation",
            "id": str(self.number),
            "name": self.name,
            "operationType": self.type,
            "targetLink": f"{ROOT}/{self.target}",
            "status": self.status(now),
            "user": self.user,
            "progress": 100 if done else 0,
            "insertTime": stamp(self.made_at),
            "startTime": stamp(self.made_at),
            "selfLink": f"{ROOT}/projects/{self.project}/{self.scope}/operations/{self.name}",
        }
        if self.target_number:
            shown["targetId"] = str(self.target_number)
        if self.scope != "global":
            shown["zone"] = f"{ROOT}/projects/{self.project}/{self.scope}"
        if self.group:
            shown["operationGroupId"] = self.group
        if self.request:
            shown["clientOperationId"] = self.request
        if self.words:
            shown["statusMessage"] = self.words
        if done:
            shown["endTime"] = stamp(self.done_at)
            if self.errors:
                shown["error"] = {
                    "errors": [{"code": one.code, "message": one.words} for one in self.errors]
                }
                shown["httpErrorStatusCode"] = 503
                shown["httpErrorMessage"] = "SERVICE UNAVAILABLE"
        if self.created is not None:
            shown["instancesBulkInsertOperationMetadata"] = {
                "perLocationStatus": {
                    self.scope: {
                        "status": "DONE" if done else "CREATING",
                        "targetVmCount": self.wanted,
                        "createdVmCount": self.created if done else 0,
                        "failedToCreateVmCount": self.wanted - self.created if done else 0,
                    }
                }
            }
        return shown


def stamp(moment: float) -> str:
    """Unix seconds as the API writes a time."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
