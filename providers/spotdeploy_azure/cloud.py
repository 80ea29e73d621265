"""One location, connected: everything a provider object makes on first use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from spotdeploy import labels as names
from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Batch, Node
from spotdeploy_azure.actions import Action
from spotdeploy_azure.api import AzureDriver, read
from spotdeploy_azure.auth import Chain, require_extra
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import MISSING
from spotdeploy_azure.network import Opening
from spotdeploy_azure.nodes import Addresses, addresses, from_azure
from spotdeploy_azure.offers import LIFETIME, Images, Prices, Size, sold
from spotdeploy_azure.schemas import (
    Deployment,
    Group,
    Interface,
    PublicAddress,
    Status,
    VirtualMachine,
)
from spotdeploy_libcloud.cache import user_cache
from spotdeploy_libcloud.caller import caller_cidr

Raw = dict[str, Any]
"""A virtual machine as the API gives it."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A virtual machine as it was just listed."""

    node: Node
    provisioning: str
    """How far Azure is with making it, in its own term."""
    statuses: tuple[Status, ...]


class Cloud:
    """Azure in one location under one config. Each part is made, or asked for, once."""

    def __init__(self, config: AzureConfig, location: str, pause: Callable[[float], None]) -> None:
        """Reads and calls nothing. `pause` waits for seconds.

        Raises ConfigError when the extra is not installed.
        """
        require_extra()
        self._config = config
        self.location = location
        self.pause = pause

    @cached_property
    def chain(self) -> Chain:
        """The service principal and the subscription."""
        return Chain(self._config)

    @cached_property
    def driver(self) -> AzureDriver:
        """The connection. Raises CredentialsError when there are no credentials."""
        return AzureDriver(self._config, self.chain, self.pause)

    @cached_property
    def sizes(self) -> dict[str, Size]:
        """Those of the configured sizes that are sold here. One paginated call."""
        return sold(self.driver, self.location, self._config.sizes)

    @cached_property
    def images(self) -> Images:
        """The images."""
        cache = user_cache("azure-images", LIFETIME)
        return Images(self.driver, self._config, self.location, cache)

    @cached_property
    def prices(self) -> Prices:
        """The prices."""
        return Prices(self._config.price_service, self.location)

    @cached_property
    def _caller(self) -> str:
        return caller_cidr(self._config.address_service)

    def opening(self, batch: Batch) -> Opening:
        """What the nodes of a batch let in."""
        if batch.allow_from:
            return Opening(batch.open_ports, batch.allow_from)
        if self._config.address == "private":
            raise ConfigError(
                'nodes.allow_from is needed when provider.azure.address is "private"',
                hint="give the CIDRs from which you reach the subnet",
            )
        return Opening(batch.open_ports, (self._caller,))

    def groups(self, labels: Mapping[str, str]) -> list[Group]:
        """The resource groups here that may hold something with these labels: one call for each
        page. A group carries the labels of its run, not those of its batches.

        Raises ValueError for empty labels.
        """
        if not labels:
            raise ValueError("a listing needs labels")
        key = next((one for one in labels if one != names.BATCH), names.DEPLOYMENT)
        found = self._tagged(key, labels.get(key, names.ANY))
        of_run = {key: value for key, value in labels.items() if key != names.BATCH}
        return [
            group
            for group in found
            if group.location == self.location
            and (not of_run or names.matches(group.tags or {}, of_run))
        ]

    def all_locations(self) -> list[str]:
        """The locations of all resource groups of ours in the subscription."""
        groups = self._tagged(names.DEPLOYMENT, names.ANY)
        return list(dict.fromkeys(group.location for group in groups))

    def group(self, name: str) -> Group | None:
        """One resource group, or None when there is none."""
        return _or_none(lambda: self.driver.call(Action.GET_GROUP, Group, {"group": name}))

    def deployment(self, group: str, name: str) -> Deployment | None:
        """One deployment, or None when there is none."""
        at = {"group": group, "deployment": name}
        return _or_none(lambda: self.driver.call(Action.GET_DEPLOYMENT, Deployment, at))

    def machines(self, group: str) -> list[Raw] | None:
        """The virtual machines of a group, without what they are doing; None of a missing group."""
        return _or_none(lambda: self.driver.pages(Action.LIST_VMS, Raw, {"group": group}))

    def machine(self, group: str, name: str) -> VirtualMachine | None:
        """One virtual machine with what it is doing, or None when there is none."""
        at, query = {"group": group, "vm": name}, {"$expand": "instanceView"}
        call = self.driver.call
        return _or_none(lambda: call(Action.GET_VM, VirtualMachine, at, query=query))

    def nodes(self, labels: Mapping[str, str]) -> list[Node]:
        """The nodes with these labels. One call, two more when there are any groups, and two for
        each group: a run has one here."""
        return [
            snapshot.node
            for group in self.groups(labels)
            for snapshot in self.snapshots(group).values()
            if names.matches(snapshot.node.labels, labels)
        ]

    def snapshots(self, group: Group, only: Collection[str] | None = None) -> dict[str, Snapshot]:
        """The virtual machines of a group by name, or only those named, as they are now. One call,
        three more when there are any."""
        machines = self.machines(group.name) or []
        if only is not None:
            machines = [raw for raw in machines if str(raw["name"]).lower() in only]
        if not machines:
            return {}
        statuses = self._statuses()
        interfaces = self._in_group(Action.LIST_INTERFACES, Interface, group.name)
        publics = self._in_group(Action.LIST_PUBLIC_ADDRESSES, PublicAddress, group.name)
        known = addresses(interfaces, publics)
        seen = [self._snapshot(group, raw, known, statuses) for raw in machines]
        return {snapshot.node.name: snapshot for snapshot in seen}

    def snapshot(self, group: Group, name: str) -> Snapshot | None:
        """One virtual machine as it is now, without its addresses, or None when there is none."""
        at, query = {"group": group.name, "vm": name}, {"$expand": "instanceView"}
        raw = _or_none(lambda: self.driver.call(Action.GET_VM, Raw, at, query=query))
        return None if raw is None else self._snapshot(group, raw, Addresses({}, {}), {})

    def _tagged(self, key: str, value: str) -> list[Group]:
        """Azure can ask for a tag of any value:
        https://learn.microsoft.com/en-us/rest/api/resources/resource-groups/list"""
        of_value = "" if value == names.ANY else f" and tagValue eq '{value}'"
        query = {"$filter": f"tagName eq '{key}'{of_value}"}
        return self.driver.pages(Action.LIST_GROUPS, Group, query=query)

    def _snapshot(
        self,
        group: Group,
        raw: Raw,
        known: Addresses,
        statuses: Mapping[str, list[Status]],
    ) -> Snapshot:
        machine = read(raw, VirtualMachine, Action.LIST_VMS.id)
        doing = tuple(statuses.get(machine.id.lower(), machine.statuses))
        public = self._config.address == "public"
        found = self.driver.to_node(raw)
        node = from_azure(found, machine, group, doing, known, self.prices.of, public=public)
        return Snapshot(node, machine.properties.provisioning_state, doing)

    def _statuses(self) -> dict[str, list[Status]]:
        """What every virtual machine of the subscription is doing: Azure gives it for all or one.

        https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/list-all
        """
        found = self.driver.pages(
            Action.LIST_STATUSES, VirtualMachine, query={"statusOnly": "true"}
        )
        return {machine.id.lower(): machine.statuses for machine in found}

    def _in_group(self, action: Action, item: type[T], group: str) -> list[T]:
        return _or_none(lambda: self.driver.pages(action, item, {"group": group})) or []


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ProviderError as error:
        if error.code in MISSING:
            return None
        raise
