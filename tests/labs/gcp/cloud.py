"""Compute Engine as far as the provider can call it. Each behaviour has its source beside it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.labs.gcp import catalogue
from tests.labs.gcp.answering import BEHAVIOURS
from tests.labs.gcp.call import DROPPED, Call, GoogleError, Json, Reply, answer, missing
from tests.labs.gcp.discovery import answer_violations, request_violations
from tests.labs.gcp.faults import Faults
from tests.labs.gcp.state import Instance, Operation, Timing, VpcNetwork

PREEMPTED = "compute.instances.preempted"
HOST = "host-project"
SYSTEM = "system@google.com"


@dataclass
class Cloud:
    """One project. Calls come from several threads."""

    project: str = catalogue.PROJECT
    faults: Faults = field(default_factory=Faults)
    timing: Timing = field(default_factory=Timing)
    calls: list[Call] = field(default_factory=list)
    """Every call that arrived."""
    wrong: list[str] = field(default_factory=list)
    """Every breach of Google's discovery document, in requests and in our own answers."""
    instances: dict[tuple[str, str], Instance] = field(default_factory=dict)
    """By zone and name; those that are gone too."""
    disks: dict[tuple[str, str], Json] = field(default_factory=dict)
    firewalls: dict[str, Json] = field(default_factory=dict)
    rules_made_at: dict[str, float] = field(default_factory=dict)
    """Name of a firewall rule to Unix seconds."""
    networks: dict[tuple[str, str], VpcNetwork] = field(
        default_factory=lambda: {
            (catalogue.PROJECT, "default"): VpcNetwork(),
            (catalogue.PROJECT, "custom"): VpcNetwork(False, {("us-central1", "inner")}),
            (HOST, "shared"): VpcNetwork(False, {("us-central1", "lent")}),
        }
    )
    """By project and name. Those of other projects are lent to this one."""
    skus: list[Json] | None = None
    """The price list; None is a project without the Cloud Billing API, as new ones are."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What the project tells all its instances."""
    policies: dict[str, frozenset[str]] = field(default_factory=dict)
    """Constraint of the organization's policy to what it allows, where it has a list. See
    `tests.labs.gcp.policies`."""
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[str, Operation] = field(default_factory=dict)
    """By requestId."""
    console: Callable[[str], str] = lambda _: ""
    """Name to what the instance printed."""
    page: int = 500
    """The most items on one page."""
    boots_later: bool = False
    """True when machines behind the instances say when they run."""
    addresses: Callable[[int], tuple[str, str]] = lambda n: (
        f"34.16.{n // 250}.{n % 250 + 1}",
        f"10.128.{n // 250}.{n % 250 + 2}",
    )
    """Number to public and private address."""
    on_change: list[Callable[[], None]] = field(default_factory=list)
    """Called after instances came or went."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def handle(self, call: Call) -> Reply:
        """Answer one call."""
        with self.lock:
            self.calls.append(call)
            try:
                fault = self._checked(call)
                body = self._behave(call)
            except GoogleError as error:
                return error.reply()
            if fault:
                return DROPPED
            self.wrong += answer_violations(call.match, body)
            return answer(body)

    @property
    def now(self) -> float:
        """Unix seconds, by the lab's clock."""
        return self.timing.clock()

    def shows(self, made_at: float) -> bool:
        """Whether listings show by now what was made then."""
        return self.now >= made_at + self.timing.listing_delay

    def number(self) -> int:
        """One that was never given before."""
        return next(self._numbers)

    def living(self) -> list[Instance]:
        """Every instance that is not deleted."""
        self.age()
        return [one for one in self.instances.values() if one.exists(self.now)]

    def end(self, one: Instance, *, delete: bool = True) -> None:
        """Let an instance end."""
        one.ends_at = self.now
        one.gone_at = self.now + self.timing.going
        one.delete = delete
        self.changed()

    def preempt(self, one: Instance) -> None:
        """Take a spot instance back: it ends as its scheduling says.
        https://cloud.google.com/compute/docs/instances/spot#preemption"""
        delete = one.scheduling.get("instanceTerminationAction") == "DELETE"
        one.noticed = True
        self.end(one, delete=delete)
        self.record(
            PREEMPTED,
            self.instance_path(one),
            f"zones/{one.zone}",
            user=SYSTEM,
            words="Instance was preempted.",
            target_number=one.number,
        )

    def stopped(self, one: Instance, kind: str, user: str = SYSTEM) -> None:
        """Let an instance be TERMINATED, with an operation that says how."""
        self.end(one, delete=False)
        self.record(kind, self.instance_path(one), f"zones/{one.zone}", user=user)

    def record(self, kind: str, target: str, scope: str, **more: Any) -> Operation:
        """A new operation."""
        number = self.number()
        made = Operation(
            name=f"operation-{number:013d}",
            number=number,
            type=kind,
            target=target,
            scope=scope,
            project=self.project,
            made_at=self.now,
            done_at=self.now + self.timing.operation,
            **more,
        )
        self.operations[made.name] = made
        return made

    def instance_path(self, one: Instance) -> str:
        """Below the API's root."""
        return f"projects/{self.project}/zones/{one.zone}/instances/{one.name}"

    def changed(self) -> None:
        """Tell those who want to know."""
        for tell in self.on_change:
            tell()

    def age(self) -> None:
        """Let what is over be over: instances whose time to live has passed, disks of deleted
        instances."""
        for one in self.instances.values():
            life = one.scheduling.get("maxRunDuration", {}).get("seconds")
            if life and not one.ended and self.now >= one.runs_at + int(life):
                self.end(one, delete=one.scheduling.get("instanceTerminationAction") == "DELETE")
            if not one.exists(self.now) and one.properties["disks"][0].get("autoDelete"):
                self.disks.pop((one.zone, one.name), None)

    def _checked(self, call: Call) -> bool:
        """True when the answer is to be lost."""
        wrong = request_violations(call.match, call.documented, call.body)
        if wrong:
            self.wrong += wrong
            raise GoogleError(400, "invalid", "; ".join(wrong))
        if call.query.get("filter") and call.query.get("orderBy"):
            words = "Specifying both a list filter and sort order is not currently supported."
            field = f"Invalid value for field 'orderBy': '{call.query['orderBy']}'."
            raise GoogleError(400, "invalid", f"{field} {words}")
        fault = self.faults.take(call)
        if fault and fault.error:
            raise fault.error
        if fault and fault.lose == "request":
            raise _LostError
        named = call.match.names.get("project")
        lent = {project for project, _ in self.networks} if _is_of_network(call) else set()
        if named != self.project and named not in catalogue.IMAGES and named not in lent:
            raise missing(f"projects/{named}")
        return bool(fault)

    def _behave(self, call: Call) -> Json:
        self.age()
        if call.method not in BEHAVIOURS:
            raise GoogleError(501, "notImplemented", f"the lab has no {call.method}")
        return BEHAVIOURS[call.method](self, call)

    def shown(self, operation: Operation) -> Json:
        """An operation as the API shows it now."""
        return operation.resource(self.now)

    def started(self, call: Call, kind: str, target: str, scope: str, **more: Any) -> Json:
        """A new operation of a call, as it is shown at once."""
        errors = self.faults.operations.pop(call.method, [])
        request = call.query.get("requestId", "")
        made = self.record(kind, target, scope, errors=errors, request=request, **more)
        if request:
            self.requests[request] = made
        return self.shown(made)


def _is_of_network(call: Call) -> bool:
    """Whether the projects of networks that are lent to this one take the call."""
    return call.method.split(".")[1] in ("networks", "firewalls", "globalOperations")


class _LostError(GoogleError):
    """The call never arrived."""

    def __init__(self) -> None:
        super().__init__(0, "", "")

    def reply(self) -> Reply:
        return DROPPED
