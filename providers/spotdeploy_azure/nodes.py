"""From Azure's virtual machines to our nodes."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Market, Node, NodeState
from spotdeploy.refusals import none_if_missing
from spotdeploy_azure.actions import Action
from spotdeploy_azure.api import AzureDriver, read
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import MISSING, NO_GROUP, NOT_FOUND
from spotdeploy_azure.schemas import (
    ErrorDetail,
    Group,
    Interface,
    PublicAddress,
    Status,
    VirtualMachine,
)
from spotdeploy_libcloud.nodes import PriceOf, to_node

STATES: Final = {
    "creating": NodeState.PENDING,
    "starting": NodeState.PENDING,
    "updating": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "succeeded": NodeState.RUNNING,
    "stopping": NodeState.STOPPED,
    "stopped": NodeState.STOPPED,
    "deallocating": NodeState.STOPPED,
    "deallocated": NodeState.STOPPED,
    "failed": NodeState.STOPPED,
    "deleting": NodeState.GOING,
}
"""https://learn.microsoft.com/en-us/azure/virtual-machines/states-billing: `stopped` is billed in
full, `deallocated` for its disk and address; both exist until they are deleted."""
_POWER: Final = "PowerState/"
_PROVISIONING: Final = "ProvisioningState/"
_ID: Final = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers/"
    r"Microsoft\.Compute/virtualMachines/(?P<name>[^/]+)",
    re.IGNORECASE,
)

LONG: Final = 60.0
"""Seconds: a longer `Retry-After` is remembered here; callers wait a shorter one out."""

Raw: TypeAlias = dict[str, Any]
"""A virtual machine as the API gives it."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the virtual machines of a group, by the machines' ids in lower case."""

    public: Mapping[str, str]
    private: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A virtual machine as it was just listed."""

    node: Node
    provisioning: str
    """How far Azure is with making it, in its own term."""
    statuses: tuple[Status, ...]


class Nodes:
    """The virtual machines of one location, and the resource groups that hold them."""

    def __init__(
        self, driver: AzureDriver, config: AzureConfig, location: str, price_of: PriceOf
    ) -> None:
        """Calls nothing."""
        self._driver = driver
        self._public = config.address == "public"
        self._location = location
        self._price_of = price_of
        self.clock = time.monotonic
        self._closed_until = -math.inf
        """Until then Compute asks that no listing of it be made."""

    def groups(self, labels: Mapping[str, str]) -> list[Group]:
        """The resource groups here that may hold something with these labels: one call for each
        page. A group carries the labels of its run, not those of its batches."""
        key = next((one for one in labels if one != names.BATCH), names.DEPLOYMENT)
        found = self._tagged(key, labels.get(key, names.ANY))
        of_run = {key: value for key, value in labels.items() if key != names.BATCH}
        return [
            group
            for group in found
            if group.location == self._location
            and (not of_run or names.matches(group.tags or {}, of_run))
        ]

    def all_locations(self) -> list[str]:
        """The locations of all resource groups of ours in the subscription."""
        groups = self._tagged(names.DEPLOYMENT, names.ANY)
        return list(dict.fromkeys(group.location for group in groups))

    def group(self, name: str) -> Group | None:
        """One resource group, or None when there is none."""
        return none_if_missing(
            lambda: self._driver.call(Action.GET_GROUP, Group, {"group": name}), MISSING
        )

    def machines(self, group: str) -> list[Raw] | None:
        """The virtual machines of a group, without what they are doing; None of a missing group.

        Raises ThrottledError, without a call, while Compute asks to be left alone.
        """
        return self._costly(lambda: self._in_group(Action.LIST_VMS, Raw, group))

    def machine(self, group: str, name: str) -> VirtualMachine | None:
        """One virtual machine with what it is doing, or None when there is none."""
        return self._one(VirtualMachine, group, name)

    def with_labels(self, labels: Mapping[str, str]) -> list[Node]:
        """Those in the groups that have these labels. One call, two more when there are any
        groups, and two for each group: a run has one here."""
        groups = self.groups(labels)
        try:
            return [
                snapshot.node for group in groups for snapshot in self.snapshots(group).values()
            ]
        except ThrottledError as error:
            if all(group.going for group in groups):
                error.retry_after = None  # they go without Compute: look at them again soon
            raise

    def snapshots(self, group: Group, only: Collection[str] | None = None) -> dict[str, Snapshot]:
        """The virtual machines of a group by name, or only those named, as they are now. One call,
        three more when there are any."""
        machines = self.machines(group.name)
        if machines is None and not group.going:
            raise _not_known_yet(group.name)
        machines = machines or []
        if only is not None:
            machines = [raw for raw in machines if str(raw["name"]).lower() in only]
        if not machines:
            return {}
        statuses = self._statuses()
        interfaces = self._in_group(Action.LIST_INTERFACES, Interface, group.name) or []
        publics = self._in_group(Action.LIST_PUBLIC_ADDRESSES, PublicAddress, group.name) or []
        known = addresses(interfaces, publics)
        seen = [self._snapshot(group, raw, known, statuses) for raw in machines]
        return {snapshot.node.name: snapshot for snapshot in seen}

    def snapshot(self, group: Group, name: str) -> Snapshot | None:
        """One virtual machine as it is now, without its addresses, or None when there is none."""
        raw = self._one(Raw, group.name, name)
        return None if raw is None else self._snapshot(group, raw, Addresses({}, {}), {})

    def _tagged(self, key: str, value: str) -> list[Group]:
        """Azure can ask for a tag of any value:
        https://learn.microsoft.com/en-us/rest/api/resources/resource-groups/list"""
        of_value = "" if value == names.ANY else f" and tagValue eq '{value}'"
        query = {"$filter": f"tagName eq '{key}'{of_value}"}
        return self._driver.pages(Action.LIST_GROUPS, Group, query=query)

    def _snapshot(
        self,
        group: Group,
        raw: Raw,
        known: Addresses,
        statuses: Mapping[str, list[Status]],
    ) -> Snapshot:
        machine = read(raw, VirtualMachine, Action.LIST_VMS.id)
        doing = tuple(statuses.get(machine.id.lower(), machine.statuses))
        found = self._driver.to_node(raw)
        node = from_azure(found, machine, group, doing, known, self._price_of, public=self._public)
        return Snapshot(node, machine.properties.provisioning_state, doing)

    def _statuses(self) -> dict[str, list[Status]]:
        """What every virtual machine of the subscription is doing: Azure gives it for all or one.

        https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/list-all

        Nothing while Compute is too busy to say: then how far each machine was made must do.
        """
        pages, query = self._driver.pages, {"statusOnly": "true"}
        try:
            found = self._costly(lambda: pages(Action.LIST_STATUSES, VirtualMachine, query=query))
        except ThrottledError:
            return {}
        return {machine.id.lower(): machine.statuses for machine in found}

    def _costly(self, ask: Callable[[], T]) -> T:
        """A listing of Compute's. All of them share one budget of the subscription, and when it is
        used up Compute names a time of up to half an hour, which is obeyed:
        https://learn.microsoft.com/en-us/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors
        """
        left = self._closed_until - self.clock()
        if left > 0:
            error = ThrottledError(f"Compute asks for no listing in the next {left:.0f} s")
            error.retry_after = left
            raise error
        try:
            return ask()
        except ThrottledError as error:
            if (error.retry_after or 0.0) > LONG:
                self._closed_until = self.clock() + (error.retry_after or 0.0)
            raise

    def _one(self, kind: type[T], group: str, name: str) -> T | None:
        at, query = {"group": group, "vm": name}, {"$expand": "instanceView"}
        call = self._driver.call
        return self._unless_missing(group, lambda: call(Action.GET_VM, kind, at, query=query))

    def _in_group(self, action: Action, item: type[T], group: str) -> list[T] | None:
        pages = self._driver.pages
        return self._unless_missing(group, lambda: pages(action, item, {"group": group}))

    def _unless_missing(self, group: str, ask: Callable[[], T]) -> T | None:
        """What `ask` returns, or None when there is no such thing.

        For some seconds after a group was made, parts of Azure do not know it. That is no proof of
        anything: ThrottledError while the group itself can be read.
        """
        try:
            return none_if_missing(ask, MISSING - NO_GROUP)
        except ProviderError as error:
            if error.code not in NO_GROUP:
                raise
            found = self.group(group)
            if found is not None and not found.going:
                raise _not_known_yet(group) from error
            return None


def _not_known_yet(group: str) -> ThrottledError:
    return ThrottledError(f"Azure lists {group}, and does not find it yet", code=NOT_FOUND)


def node_id(subscription: str, group: str, name: str) -> str:
    """The one spelling of a virtual machine's id: Azure's own vary in their case."""
    return (
        f"/subscriptions/{subscription.lower()}/resourceGroups/{group.lower()}"
        f"/providers/Microsoft.Compute/virtualMachines/{name.lower()}"
    )


def split_id(id_: str) -> tuple[str, str] | None:
    """The group and name of an id; None when no virtual machine can have it."""
    found = _ID.fullmatch(id_)
    return (found["group"].lower(), found["name"].lower()) if found else None


def addresses(interfaces: Sequence[Interface], publics: Sequence[PublicAddress]) -> Addresses:
    """Which machine has which addresses."""
    known = {one.id.lower(): one.properties.ip_address for one in publics}
    public: dict[str, str] = {}
    private: dict[str, str] = {}
    for interface in interfaces:
        machine = interface.properties.virtual_machine
        for configuration in interface.properties.ip_configurations if machine else ():
            owner = machine.id.lower() if machine else ""
            its = configuration.properties
            if its.private_ip_address:
                private.setdefault(owner, its.private_ip_address)
            address = known.get(its.public_ip_address.id.lower()) if its.public_ip_address else None
            if address:
                public.setdefault(owner, address)
    return Addresses(public, private)


def state_of(machine: VirtualMachine, group: Group | None, statuses: Sequence[Status]) -> str:
    """Azure's name for what a machine is doing. It goes with its group; the power state says more
    than how far Azure is with making it."""
    provisioning = machine.properties.provisioning_state.lower()
    if (group is not None and group.going) or provisioning == "deleting":
        return "deleting"
    codes = [status.code for status in statuses]
    made = [code.removeprefix(_PROVISIONING).lower() for code in codes if _PROVISIONING in code]
    if any(code.startswith("deleting") for code in made):
        return "deleting"
    power = next((code.removeprefix(_POWER) for code in codes if code.startswith(_POWER)), "")
    return power or next((code.partition("/")[0] for code in made), "") or provisioning


def is_allocated(statuses: Sequence[Status], state: str) -> bool:
    """True once Azure has found a place for a machine, booted or not."""
    return state == "Succeeded" or any(
        status.code.startswith(_POWER) and not status.code.endswith("unknown")
        for status in statuses
    )


def failure(statuses: Sequence[Status]) -> ErrorDetail | None:
    """Why a machine could not be made, when its statuses say so."""
    for status in statuses:
        state, _, code = status.code.removeprefix(_PROVISIONING).partition("/")
        if status.code.startswith(_PROVISIONING) and state.lower() == "failed":
            return ErrorDetail(
                code=code or "Failed", message=status.message or status.display_status
            )
    return None


def from_azure(
    found: Any,
    machine: VirtualMachine,
    group: Group | None,
    statuses: Sequence[Status],
    known: Addresses,
    price_of: PriceOf,
    *,
    public: bool,
) -> Node:
    """Our node for one of libcloud's. Its labels are those of the group and its own, which win."""
    own = machine.id.lower()
    subscription, _, _ = own.removeprefix("/subscriptions/").partition("/")
    where = split_id(machine.id) or ("", machine.name)
    market = Market.SPOT if machine.properties.priority == "Spot" else Market.ON_DEMAND
    size = machine.properties.hardware_profile.vm_size
    found.id = node_id(subscription, *where)
    found.name = where[1]
    found.created_at = machine.properties.time_created
    found.public_ips = [known.public.get(own)]
    found.private_ips = [known.private.get(own)]
    return to_node(
        found,
        provider="azure",
        location=machine.location,
        states=STATES,
        cloud_state=state_of(machine, group, statuses),
        labels={**((group.tags if group else None) or {}), **(machine.tags or {})},
        zone=next(iter(machine.zones or ()), None),
        size=size,
        market=market,
        public=public,
        usd_per_hour=price_of(market, None, size),
    )
