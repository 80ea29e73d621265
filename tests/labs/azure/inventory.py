"""What the lab's Azure holds, and how it changes with time. Calls come from several threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from spotdeploy.testing.clock import Clock, SystemClock
from tests.labs.azure.call import Call, Json
from tests.labs.azure.faults import Faults, Trouble
from tests.labs.azure.state import DAY, Deployment, Group, Machine, Timing, stamp


@dataclass
class Inventory:
    """Resource groups, deployments and virtual machines."""

    subscription: str
    clock: Clock = field(default_factory=SystemClock)
    faults: Faults = field(default_factory=Faults)
    timing: Timing = field(default_factory=Timing)
    calls: list[Call] = field(default_factory=list)
    """Every call that arrived."""
    wrong: list[str] = field(default_factory=list)
    """What is not as Microsoft publishes it, in requests and in our own answers."""
    groups: dict[str, Group] = field(default_factory=dict)
    """By name in lower case; gone ones are not kept."""
    machines: dict[str, Machine] = field(default_factory=dict)
    """By id in lower case; gone ones are not kept."""
    deployments: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    events: list[tuple[str, Json]] = field(default_factory=list)
    """The activity log: the id of a machine in lower case, and what happened to it."""
    unregistered: set[str] = field(default_factory=set)
    """Resource providers that the subscription is not registered with."""
    actions: list[str] = field(default_factory=lambda: ["*"])
    """What the caller may do."""
    tag_policy: bool = False
    """True where a policy asks for tags on all resources."""
    spot_limit: int = 100
    family_limits: dict[str, int] = field(default_factory=dict)
    """Quotas of families of sizes, such as `standardDASv5Family`."""
    subscription_state: str = "Enabled"
    holding: bool = False
    """True where machines wait for real ones."""
    on_change: list[Callable[[], None]] = field(default_factory=list)
    """Called after machines came or went."""
    consoles: dict[str, str] = field(default_factory=dict)
    """Name to what a machine printed."""
    console: Callable[[str], str | None] | None = None
    """The same, asked for, where there are real machines."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: count(1))

    @property
    def now(self) -> float:
        """The lab's time."""
        return self.clock.now()

    def sweep(self) -> None:
        """Let go of what is gone by now."""
        gone = [id_ for id_, one in self.machines.items() if _over(one.ends_at, self.now)]
        for id_ in gone:
            del self.machines[id_]
        for group in self.groups.values():
            self._shut_down(group)
        for name, group in list(self.groups.items()):
            if not _over(group.ends_at, self.now) or self.inside(group):
                continue
            if self.faults.stuck:
                group.ends_at, group.failure = None, self.faults.stuck.pop(0)
                self._record_failure(group, group.failure)
            else:
                del self.groups[name]
                for key in [key for key in self.deployments if key[0] == name]:
                    del self.deployments[key]
        if gone:
            self.changed()

    def _shut_down(self, group: Group) -> None:
        """Deallocate the machines whose time of day has come, running or stopped."""
        due = [id_ for id_, moment in group.shutdowns.items() if moment <= self.now]
        for id_ in due:
            group.shutdowns[id_] += DAY
            if id_ in self.machines:
                self.machines[id_].power = "deallocated"
        if due:
            self.changed()

    def inside(self, group: Group) -> list[Machine]:
        """The machines of a group."""
        return [one for one in self.machines.values() if one.group is group]

    def listed(self, group: Group) -> list[Machine]:
        """Those of them that listings show already."""
        visible = self.now - self.timing.listing_delay
        return [one for one in self.inside(group) if one.made_at <= visible]

    def changed(self) -> None:
        """Tell those who want to know."""
        for tell in self.on_change:
            tell()

    def end(self, machine: Machine) -> None:
        """Begin to delete a machine, with its interface, address and disk."""
        if machine.ends_at is None:
            machine.ends_at = self.now + self.timing.going
            self.changed()

    def record(self, machine: Machine, operation: str, caller: str) -> None:
        """Write to the activity log."""
        event = {
            "operationName": {"value": operation, "localizedValue": operation},
            "status": {"value": "Succeeded", "localizedValue": "Succeeded"},
            "caller": caller,
            "eventTimestamp": stamp(self.now),
            "resourceId": machine.id,
            "resourceGroupName": machine.group.name,
        }
        self.events.append((machine.id.lower(), event))

    def _record_failure(self, group: Group, trouble: Trouble) -> None:
        id_ = f"/subscriptions/{self.subscription}/resourceGroups/{group.name}"
        operation = "Microsoft.Resources/subscriptions/resourceGroups/delete"
        message = {"error": {"code": trouble.code, "message": trouble.words}}
        event = {
            "operationName": {"value": operation, "localizedValue": "Delete resource group"},
            "status": {"value": "Failed", "localizedValue": "Failed"},
            "caller": "someone@example.com",
            "eventTimestamp": stamp(self.now),
            "resourceId": id_,
            "resourceGroupName": group.name,
            "properties": {"statusMessage": json.dumps(message)},
        }
        self.events.append((id_.lower(), event))


def _over(moment: float | None, now: float) -> bool:
    return moment is not None and moment <= now
