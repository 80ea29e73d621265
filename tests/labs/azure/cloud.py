"""The behaviour of the Resource Manager, as far as it is used. Calls come from several threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from spotdeploy.testing.clock import Clock, SystemClock
from tests.labs.azure import catalogue, rendering
from tests.labs.azure.call import DROPPED, ArmError, Call, Json, Reply, answer
from tests.labs.azure.deploying import Request, requested
from tests.labs.azure.faults import Faults
from tests.labs.azure.state import Deployment, Group, Machine, Timing, stamp

PAGE = 20
_TAG = re.compile(r"tagName eq '([^']+)'(?: and tagValue eq '([^']*)')?")
_EVENTS = re.compile(r"eventTimestamp ge '[\dTZ:-]+' and resourceUri eq '([^']+)'")
GROUP = "/subscriptions/{}/resourcegroups/{}"
DEPLOYMENT = f"{GROUP}/providers/microsoft.resources/deployments/{{}}"
MACHINE = f"{GROUP}/providers/microsoft.compute/virtualmachines/{{}}"


@dataclass
class Cloud:
    """Resource groups, deployments and virtual machines."""

    subscription: str
    clock: Clock = field(default_factory=SystemClock)
    faults: Faults = field(default_factory=Faults)
    timing: Timing = field(default_factory=Timing)
    calls: list[Call] = field(default_factory=list)
    """Every call that arrived."""
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
    spot_limit: int = 100
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
    _numbers: Any = field(default_factory=lambda: count(1))

    def handle(self, call: Call) -> Reply:
        """Answer one call."""
        with self.lock:
            self.calls.append(call)
            self.sweep()
            fault = self.faults.take(call)
            if fault and fault.error:
                return fault.error.reply()
            if fault and fault.lose == "request":
                return DROPPED
            try:
                reply = self._behave(call)
            except ArmError as error:
                reply = error.reply()
            return DROPPED if fault else reply

    @property
    def now(self) -> float:
        """The lab's time."""
        return self.clock.now()

    def sweep(self) -> None:
        """Let go of what is gone by now."""
        gone = [id_ for id_, one in self.machines.items() if _over(one.ends_at, self.now)]
        for id_ in gone:
            del self.machines[id_]
        for name, group in list(self.groups.items()):
            if _over(group.ends_at, self.now) and not self._inside(group):
                del self.groups[name]
                for key in [key for key in self.deployments if key[0] == name]:
                    del self.deployments[key]
        if gone:
            self.changed()

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
        }
        self.events.append((machine.id.lower(), event))

    def _behave(self, call: Call) -> Reply:
        behaviour = {
            f"PUT {GROUP}": self._make_group,
            f"GET {GROUP}": self._get_group,
            f"DELETE {GROUP}": self._delete_group,
            "GET /subscriptions/{}/resourcegroups": self._list_groups,
            f"PUT {DEPLOYMENT}": self._deploy,
            f"GET {DEPLOYMENT}": self._get_deployment,
            f"POST {DEPLOYMENT}/cancel": self._cancel,
            f"GET {GROUP}/providers/microsoft.compute/virtualmachines": self._list_machines,
            "GET /subscriptions/{}/providers/microsoft.compute/virtualmachines": self._statuses,
            f"GET {MACHINE}": self._get_machine,
            f"DELETE {MACHINE}": self._delete_machine,
            f"POST {MACHINE}/retrievebootdiagnosticsdata": self._console,
            f"GET {GROUP}/providers/microsoft.network/networkinterfaces": self._interfaces,
            f"GET {GROUP}/providers/microsoft.network/publicipaddresses": self._addresses,
            "GET /subscriptions/{}/providers/microsoft.compute/skus": self._skus,
            "GET /subscriptions/{}/providers/microsoft.compute/locations/{}/usages": self._usages,
            "GET /subscriptions/{}/providers/microsoft.compute/locations/{}/publishers/{}"
            "/artifacttypes/vmimage/offers": self._offers,
            "GET /subscriptions/{}/providers/{}": self._provider,
            "GET /subscriptions/{}": self._subscription,
            "GET /subscriptions/{}/providers/microsoft.authorization/permissions": self._allowed,
            "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values": (
                self._events
            ),
        }[call.operation]
        return behaviour(call)

    def _make_group(self, call: Call) -> Reply:
        name = call.names["1"].lower()
        group = self.groups.get(name)
        if group is not None and group.ends_at is not None:
            words = f"The resource group '{name}' is in deprovisioning state and cannot perform "
            raise ArmError(409, "ResourceGroupBeingDeleted", words + "this operation.")
        status = 201 if group is None else 200
        if group is None:
            group = Group(call.names["1"], call.body["location"], {}, self.now)
            self.groups[name] = group
        if group.location != call.body["location"]:
            raise ArmError(409, "InvalidResourceGroupLocation", "It exists in another location.")
        group.tags = call.body.get("tags", {})
        return answer(rendering.group(group, self.now, self.subscription), status)

    def _get_group(self, call: Call) -> Reply:
        return answer(rendering.group(self._group(call), self.now, self.subscription))

    def _list_groups(self, call: Call) -> Reply:
        wanted = _TAG.fullmatch(call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "InvalidFilterInQueryString", "Invalid $filter.")
        found = [
            rendering.group(one, self.now, self.subscription)
            for one in self.groups.values()
            if wanted[1] in one.tags
            and wanted[2] in (None, one.tags[wanted[1]])
            and self.now - one.made_at >= self.timing.listing_delay
        ]
        return self._page(call, found)

    def _delete_group(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/delete-resource-group"""
        group = self._group(call)
        locked = [one for one in self._inside(group) if one.id.lower() in self.faults.locked]
        if locked:
            raise _locked(locked[0].id)
        if group.ends_at is None:
            group.ends_at = self.now + self.timing.group_going
            for machine in self._inside(group):
                self.end(machine)
        where = f"{call.url}/subscriptions/{self.subscription}/operationresults/{group.name}"
        return Reply(202, headers={"Location": f"{where}?api-version=2025-04-01"})

    def _deploy(self, call: Call) -> Reply:
        group = self._group(call)
        if group.ends_at is not None:
            words = f"The resource group '{group.name}' is in deprovisioning state."
            raise ArmError(409, "ResourceGroupBeingDeleted", words)
        key = (group.name.lower(), call.names["2"].lower())
        former = self.deployments.get(key)
        if former is not None and former.state(self.now) == "Running":
            words = f"Unable to edit or replace deployment '{former.name}': it is still active."
            raise ArmError(409, "DeploymentActive", words)
        request = requested(call, group, self.subscription, set(self.machines))
        self._preflight(call.names["2"], request)
        for resource in request.others:
            group.resources[resource["id"].lower()] = resource
        made = [self._make(group, body) for body in request.machines]
        known = [self.machines[id_.lower()] for id_ in request.known]
        deployment = Deployment(call.names["2"], group, known + made, self.now)
        self.deployments[key] = deployment
        self.changed()
        at = self._deployment_path(deployment)
        where = f"{call.url}{at}/operationStatuses/08584?api-version=2026-06-01"
        body = rendering.deployment(deployment, self.now, at)
        return answer(body, 201, {"Azure-AsyncOperation": where})

    def _preflight(self, name: str, request: Request) -> None:
        sizes: dict[tuple[str, str | None, str], int] = {}
        for body in request.machines:
            properties = body["properties"]
            zone = (body.get("zones") or [None])[0]
            market = properties.get("priority", "Regular")
            place = (properties["hardwareProfile"]["vmSize"], zone, market)
            sizes[place] = sizes.get(place, 0) + 1
        for place, wanted in sizes.items():
            trouble = self.faults.at_once(*place, wanted)
            if trouble:
                words = (
                    f"The template deployment '{name}' is not valid according to the validation "
                    "procedure. See inner errors for details."
                )
                inner = {"code": trouble.code, "message": trouble.words}
                raise ArmError(400, "InvalidTemplateDeployment", words, [inner])

    def _make(self, group: Group, body: Json) -> Machine:
        made_at = self.now + self.timing.deploying
        machine = Machine(
            id=body["id"],
            body=body,
            group=group,
            number=next(self._numbers),
            made_at=made_at,
            allocated_at=made_at + self.timing.allocating,
            ready_at=made_at + self.timing.allocating + self.timing.booting,
            held=self.holding,
        )
        machine.trouble = self.faults.grant(machine.size, machine.zone, machine.market)
        machine.held = self.holding and machine.trouble is None
        self.machines[machine.id.lower()] = machine
        return machine

    def _cancel(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/resources/deployments/cancel"""
        found = self._deployment(call)
        if found.state(self.now) != "Running":
            words = f"The deployment '{found.name}' cannot be cancelled: it is over."
            raise ArmError(409, "DeploymentCannotBeCancelled", words)
        found.cancelled = True
        return Reply(204)

    def _deployment(self, call: Call) -> Deployment:
        group = self._group(call)
        found = self.deployments.get((group.name.lower(), call.names["2"].lower()))
        if found is None:
            words = f"Deployment '{call.names['2']}' could not be found."
            raise ArmError(404, "DeploymentNotFound", words)
        return found

    def _get_deployment(self, call: Call) -> Reply:
        found = self._deployment(call)
        return answer(rendering.deployment(found, self.now, self._deployment_path(found)))

    def _list_machines(self, call: Call) -> Reply:
        seen = self._listed(self._group(call))
        return self._page(call, [rendering.machine(one, self.now) for one in seen])

    def _statuses(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/list-all"""
        shown = rendering.status if call.query.get("statusOnly") == "true" else rendering.machine
        seen = [one for group in self.groups.values() for one in self._listed(group)]
        return self._page(call, [shown(one, self.now) for one in seen])

    def _get_machine(self, call: Call) -> Reply:
        machine = self._machine(call)
        body = rendering.machine(machine, self.now)
        if call.query.get("$expand") == "instanceView":
            body["properties"]["instanceView"] = rendering.view(machine, self.now)
        return answer(body)

    def _delete_machine(self, call: Call) -> Reply:
        """A missing one is 204: https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/delete"""
        self._group(call)
        try:
            machine = self._machine(call)
        except ArmError:
            return Reply(204)
        if machine.id.lower() in self.faults.locked:
            raise _locked(machine.id)
        self.record(machine, "Microsoft.Compute/virtualMachines/delete", "lab@example.com")
        self.end(machine)
        where = (
            f"{call.url}/subscriptions/{self.subscription}/providers/Microsoft.Compute/locations/"
            f"{machine.body['location']}/operations/{machine.number}?api-version=2026-04-01"
        )
        return Reply(202, headers={"Azure-AsyncOperation": where})

    def _console(self, call: Call) -> Reply:
        machine = self._machine(call)
        link = f"{call.url}/console/{machine.name}?sig=very-secret"
        return answer({"serialConsoleLogBlobUri": link})

    def _interfaces(self, call: Call) -> Reply:
        seen = self._listed(self._group(call))
        return self._page(call, [rendering.interface(one) for one in seen])

    def _addresses(self, call: Call) -> Reply:
        seen = [one for one in self._listed(self._group(call)) if one.public_address]
        return self._page(call, [rendering.public_address(one) for one in seen])

    def _skus(self, call: Call) -> Reply:
        wanted = re.fullmatch(r"location eq '(\w+)'", call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "InvalidFilterInQueryString", "Invalid $filter.")
        return self._page(call, catalogue.skus(wanted[1]))

    def _usages(self, call: Call) -> Reply:
        return self._page(call, catalogue.usages(self.spot_limit))

    def _offers(self, call: Call) -> Reply:
        return answer(catalogue.offers(call.names["1"]))

    def _provider(self, call: Call) -> Reply:
        state = "NotRegistered" if call.names["1"] in self.unregistered else "Registered"
        return answer(catalogue.provider(call.names["1"], state, self.subscription))

    def _subscription(self, call: Call) -> Reply:
        return answer(
            {
                "id": f"/subscriptions/{self.subscription}",
                "subscriptionId": self.subscription,
                "displayName": "Lab",
                "state": self.subscription_state,
            }
        )

    def _allowed(self, call: Call) -> Reply:
        return self._page(call, [{"actions": self.actions, "notActions": []}])

    def _events(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/monitor/activity-logs/list"""
        wanted = _EVENTS.fullmatch(call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "BadRequest", "Invalid $filter.")
        found = [event for id_, event in self.events if id_ == wanted[1].lower()]
        return self._page(call, found[::-1])

    def _group(self, call: Call) -> Group:
        group = self.groups.get(call.names["1"].lower())
        if group is None:
            words = f"Resource group '{call.names['1']}' could not be found."
            raise ArmError(404, "ResourceGroupNotFound", words)
        return group

    def _machine(self, call: Call) -> Machine:
        group = self._group(call)
        for machine in self._inside(group):
            if machine.name.lower() == call.names["2"].lower() and machine.made_at <= self.now:
                return machine
        words = f"The Resource 'Microsoft.Compute/virtualMachines/{call.names['2']}' was not found."
        raise ArmError(404, "ResourceNotFound", words)

    def _inside(self, group: Group) -> list[Machine]:
        return [one for one in self.machines.values() if one.group is group]

    def _listed(self, group: Group) -> list[Machine]:
        visible = self.now - self.timing.listing_delay
        return [one for one in self._inside(group) if one.made_at <= visible]

    def _page(self, call: Call, items: Sequence[Json]) -> Reply:
        start = int(call.query.get("$skiptoken", "0"))
        page: Json = {"value": items[start : start + PAGE]}
        if start + PAGE < len(items):
            query = "&".join(f"{key}={_quoted(value)}" for key, value in _rest(call.query).items())
            path = call.names["path"]
            page["nextLink"] = f"{call.url}{path}?{query}&%24skiptoken={start + PAGE}"
        return answer(page)

    def _deployment_path(self, one: Deployment) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{one.group.name}"
        return f"{group}/providers/Microsoft.Resources/deployments/{one.name}"


def _over(moment: float | None, now: float) -> bool:
    return moment is not None and moment <= now


def _locked(id_: str) -> ArmError:
    words = (
        f"The scope '{id_}' cannot perform delete operation because following scope(s) are "
        f"locked: '{id_}'. Please remove the lock and try again."
    )
    return ArmError(409, "ScopeLocked", words)


def _rest(query: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in query.items() if key != "$skiptoken"}


def _quoted(value: str) -> str:
    from urllib.parse import quote

    return quote(value, "")
