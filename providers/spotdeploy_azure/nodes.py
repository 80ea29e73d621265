"""From Azure's virtual machines to our nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spotdeploy.model import Market, Node, NodeState
from spotdeploy_azure.schemas import (
    ErrorDetail,
    Group,
    Interface,
    PublicAddress,
    Status,
    VirtualMachine,
)
from spotdeploy_libcloud.nodes import to_node

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

PriceOf = Callable[[Market, str | None], float | None]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the virtual machines of a group, by the machines' ids in lower case."""

    public: Mapping[str, str]
    private: Mapping[str, str]


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
        usd_per_hour=price_of(market, size),
    )
