"""Compute Engine as far as the provider can call it. Each behaviour has its source beside it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.labs.gcp import filters, world
from tests.labs.gcp.call import DROPPED, Call, GoogleError, Json, Reply, answer, missing
from tests.labs.gcp.discovery import answer_violations, request_violations
from tests.labs.gcp.faults import Faults
from tests.labs.gcp.inserting import insert
from tests.labs.gcp.resources import disk_resource, instance_resource
from tests.labs.gcp.state import Instance, Operation, Timing, stamp

PREEMPTED = "compute.instances.preempted"
SYSTEM = "system@google.com"
SLICE = 0.01


@dataclass
class Cloud:
    """One project. Calls come from several threads."""

    project: str = world.PROJECT
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
    networks: set[str] = field(default_factory=lambda: {"default"})
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
        f"34.16.{n // 250}.{n % 250 + 1}", f"10.128.{n // 250}.{n % 250 + 2}",
    )  # fmt: skip
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
            PREEMPTED, self.instance_path(one), f"zones/{one.zone}", user=SYSTEM,
            words="Instance was preempted.", target_number=one.number,
        )  # fmt: skip

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
        wrong = request_violations(call.match, call.query, call.body)
        if wrong:
            self.wrong += wrong
            raise GoogleError(400, "invalid", "; ".join(wrong))
        fault = self.faults.take(call)
        if fault and fault.error:
            raise fault.error
        if fault and fault.lose == "request":
            raise _LostError
        named = call.match.names.get("project")
        if named != self.project and named not in world.IMAGES:
            raise missing(f"projects/{named}")
        return bool(fault)

    def _behave(self, call: Call) -> Json:
        self.age()
        behaviours: dict[str, Callable[[Call], Json]] = {
            "compute.projects.get": lambda _: world.project_resource(self.project),
            "compute.regions.get": self._region,
            "compute.networks.get": self._network,
            "compute.images.get": self._image,
            "compute.images.list": self._images,
            "compute.machineTypes.aggregatedList": self._machine_types,
            "compute.instances.bulkInsert": lambda call: self._shown(insert(self, call)),
            "compute.instances.aggregatedList": self._instances,
            "compute.instances.get": self._instance,
            "compute.instances.delete": self._delete_instance,
            "compute.instances.getSerialPortOutput": self._serial,
            "compute.disks.aggregatedList": self._disks,
            "compute.disks.delete": self._delete_disk,
            "compute.firewalls.insert": self._insert_firewall,
            "compute.firewalls.list": self._list_firewalls,
            "compute.firewalls.delete": self._delete_firewall,
            "compute.zoneOperations.wait": self._wait,
            "compute.globalOperations.wait": self._wait,
            "compute.zoneOperations.list": self._list_operations,
        }
        if call.method not in behaviours:
            raise GoogleError(501, "notImplemented", f"the lab has no {call.method}")
        return behaviours[call.method](call)

    def _shown(self, operation: Operation) -> Json:
        return operation.resource(self.now)

    def _started(self, call: Call, kind: str, target: str, scope: str, **more: Any) -> Json:
        errors = self.faults.operations.pop(call.method, [])
        request = call.query.get("requestId", "")
        made = self.record(kind, target, scope, errors=errors, request=request, **more)
        if request:
            self.requests[request] = made
        return self._shown(made)

    def _region(self, call: Call) -> Json:
        return self._one(world.regions(self.project), call, "regions", "region")

    def _network(self, call: Call) -> Json:
        known = {
            name: {
                "kind": "compute#network", "id": "77", "name": name,
                "autoCreateSubnetworks": True,
                "selfLink": f"{world.ROOT}/projects/{self.project}/global/networks/{name}",
            }
            for name in self.networks
        }  # fmt: skip
        return self._one(known, call, "global/networks", "network")

    def _image(self, call: Call) -> Json:
        return self._one(world.images(call.name("project")), call, "global/images", "image")

    def _one(self, known: dict[str, Json], call: Call, folder: str, placeholder: str) -> Json:
        name = call.name(placeholder)
        if name not in known:
            raise missing(f"projects/{call.name('project')}/{folder}/{name}")
        return known[name]

    def _images(self, call: Call) -> Json:
        found = list(world.images(call.name("project")).values())
        return self._listed(call, found, "compute#imageList")

    def _machine_types(self, call: Call) -> Json:
        found = [(one["zone"], one) for one in world.machine_types(self.project)]
        return self._aggregated(call, found, "machineTypes", "compute#machineTypeAggregatedList")

    def _instances(self, call: Call) -> Json:
        late = self.timing.listing_delay
        found = [
            (one.zone, instance_resource(one, self.project, self.now))
            for one in self.living()
            if self.now >= one.made_at + late
        ]
        return self._aggregated(call, found, "instances", "compute#instanceAggregatedList")

    def _instance(self, call: Call) -> Json:
        return instance_resource(self._living(call), self.project, self.now)

    def _living(self, call: Call) -> Instance:
        zone, name = call.name("zone"), call.name("instance")
        one = self.instances.get((zone, name))
        if one is None or not one.exists(self.now):
            raise missing(f"projects/{self.project}/zones/{zone}/instances/{name}")
        return one

    def _delete_instance(self, call: Call) -> Json:
        one = self._living(call)
        if one.name in self.faults.protected:
            raise GoogleError(
                400, "invalidResourceUsage",
                "Invalid resource usage: 'Resource cannot be deleted if it's protected against "
                "deletion.'.",
            )  # fmt: skip
        if not one.ended or not one.delete:
            self.end(one)
        where = self.instance_path(one), f"zones/{one.zone}"
        return self._started(call, "delete", *where, target_number=one.number)

    def _serial(self, call: Call) -> Json:
        one = self._living(call)
        contents = self.console(one.name)
        path = f"{world.ROOT}/{self.instance_path(one)}/serialPort"
        return {
            "kind": "compute#serialPortOutput", "contents": contents, "start": "0",
            "next": str(len(contents)), "selfLink": path,
        }  # fmt: skip

    def _disks(self, call: Call) -> Json:
        living = {(one.zone, one.name) for one in self.living()}
        found = [
            (zone, disk_resource(disk, self.project, attached=(zone, name) in living))
            for (zone, name), disk in self.disks.items()
        ]
        return self._aggregated(call, found, "disks", "compute#diskAggregatedList")

    def _delete_disk(self, call: Call) -> Json:
        zone, name = call.name("zone"), call.name("disk")
        path = f"projects/{self.project}/zones/{zone}/disks/{name}"
        if (zone, name) not in self.disks:
            raise missing(path)
        if any((one.zone, one.name) == (zone, name) for one in self.living()):
            words = f"The disk resource '{path}' is already being used"
            raise GoogleError(400, "resourceInUseByAnotherResource", words)
        del self.disks[zone, name]
        return self._started(call, "delete", path, f"zones/{zone}")

    def _insert_firewall(self, call: Call) -> Json:
        """https://cloud.google.com/firewall/docs/firewalls: names are unique in a project."""
        earlier = self.requests.get(call.query.get("requestId", ""))
        if earlier is not None:
            return self._shown(earlier)
        name = call.body["name"]
        path = f"projects/{self.project}/global/firewalls/{name}"
        if name in self.firewalls:
            raise GoogleError(409, "alreadyExists", f"The resource '{path}' already exists")
        if not self.faults.operations.get(call.method):
            self.firewalls[name] = {
                **call.body, "kind": "compute#firewall", "id": str(self.number()),
                "creationTimestamp": stamp(self.now), "selfLink": f"{world.ROOT}/{path}",
            }  # fmt: skip
        return self._started(call, "insert", path, "global")

    def _list_firewalls(self, call: Call) -> Json:
        return self._listed(call, list(self.firewalls.values()), "compute#firewallList")

    def _delete_firewall(self, call: Call) -> Json:
        name = call.name("firewall")
        path = f"projects/{self.project}/global/firewalls/{name}"
        if self.firewalls.pop(name, None) is None:
            raise missing(path)
        self.requests = {k: v for k, v in self.requests.items() if v.target != path}
        return self._started(call, "delete", path, "global")

    def _list_operations(self, call: Call) -> Json:
        scope = f"zones/{call.name('zone')}"
        found = [one for one in self.operations.values() if one.scope == scope]
        if call.query.get("orderBy") == "creationTimestamp desc":
            found.reverse()
        shown = [self._shown(one) for one in found]
        return self._listed(call, shown, "compute#operationList")

    def _wait(self, call: Call) -> Json:
        """Waits until the operation is done, outside of the lock."""
        one = self.operations.get(call.name("operation"))
        if one is None:
            raise missing(f"projects/{self.project}/operations/{call.name('operation')}")
        waiter = threading.Event()
        deadline = self.now + self.timing.longest_wait
        while one.status(self.now) != "DONE" and self.now < deadline:
            self.lock.release()
            try:
                waiter.wait(SLICE)
            finally:
                self.lock.acquire()
        return self._shown(one)

    def _listed(self, call: Call, found: Sequence[Json], kind: str) -> Json:
        chosen = filters.chosen(found, call.query.get("filter", ""))
        items, token = self._paged(call, chosen)
        where = f"{world.ROOT}/projects/{self.project}/{call.method}"
        return {"kind": kind, "id": call.method, "items": items, "selfLink": where, **token}

    def _aggregated(
        self, call: Call, found: Sequence[tuple[str, Json]], noun: str, kind: str
    ) -> Json:
        """Every zone is there; one without items has a warning instead. One that cannot be asked
        has another: https://cloud.google.com/compute/docs/api/best-practices"""
        test = filters.compiled(call.query.get("filter", ""))
        chosen = [(zone, one) for zone, one in found if test(one)]
        page, token = self._paged(call, chosen)
        items: Json = {}
        for zone in (zone for zones in world.ZONES.values() for zone in zones):
            here = [one for of, one in page if of == zone]
            scope = f"zones/{zone}"
            items[scope] = {noun: here} if here else _warning("NO_RESULTS_ON_PAGE", scope)
            if zone in self.faults.unreachable:
                items[scope] = _warning("UNREACHABLE", scope)
        where = f"{world.ROOT}/projects/{self.project}/aggregated/{noun}"
        return {"kind": kind, "id": where, "items": items, "selfLink": where, **token}

    def _paged(self, call: Call, found: Sequence[Any]) -> tuple[list[Any], Json]:
        size = min(int(call.query.get("maxResults", "500")), self.page)
        start = int(call.query.get("pageToken", "0"))
        token = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return list(found[start : start + size]), token


class _LostError(GoogleError):
    """The call never arrived."""

    def __init__(self) -> None:
        super().__init__(0, "", "")

    def reply(self) -> Reply:
        return DROPPED


def _warning(code: str, scope: str) -> Json:
    words = {
        "NO_RESULTS_ON_PAGE": f"There are no results for scope '{scope}' on this page.",
        "UNREACHABLE": f"The scope '{scope}' cannot be reached.",
    }
    data = [{"key": "scope", "value": scope}]
    return {"warning": {"code": code, "message": words[code], "data": data}}
