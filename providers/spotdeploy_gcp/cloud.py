"""One region, connected: everything a provider object makes on first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from spotdeploy import labels as names
from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Batch, Node
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver
from spotdeploy_gcp.auth import Chain
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.errors import MISSING
from spotdeploy_gcp.network import Opening, open_firewall
from spotdeploy_gcp.nodes import from_gce, label_filter
from spotdeploy_gcp.offers import LIFETIME, Images, Prices
from spotdeploy_gcp.schemas import MachineType, Region, last
from spotdeploy_libcloud.cache import user_cache
from spotdeploy_libcloud.caller import caller_cidr

Instance = dict[str, Any]


class Cloud:
    """Compute Engine in one region under one config. Each part is made, or asked for, once."""

    def __init__(self, config: GcpConfig, region: str) -> None:
        """Reads and calls nothing."""
        self._config = config
        self.region = region
        self._tags: dict[tuple[str, str], str] = {}

    @cached_property
    def chain(self) -> Chain:
        """Credentials and project."""
        return Chain(self._config.credentials, self._config.project)

    @cached_property
    def driver(self) -> GceDriver:
        """The connection. Raises CredentialsError when there are no credentials."""
        return GceDriver(self.chain.project(), self._config.endpoint, self.chain.token)

    @cached_property
    def about(self) -> Region:
        """The region as the API gives it."""
        return self.driver.call(Action.GET_REGION, Region, {"region": self.region})

    @cached_property
    def zones(self) -> list[str]:
        """The zones nodes can be put in, first choice first.

        Raises ConfigError when there are none.
        """
        available = sorted(last(url) for url in self.about.zones)
        chosen = [zone for zone in self._config.zones if zone in available]
        if self._config.zones and not chosen:
            raise ConfigError(
                f"none of provider.gcp.zones is in {self.region}",
                hint=f"its zones are {', '.join(available)}",
            )
        return chosen or available

    @cached_property
    def machine_types(self) -> dict[tuple[str, str], MachineType]:
        """The configured sizes in this region, by zone and size. One paginated call."""
        filter_ = " OR ".join(f'(name = "{size}")' for size in self._config.sizes)
        found = self.driver.zonal(
            Action.LIST_MACHINE_TYPES, "machineTypes", MachineType, {"filter": filter_}, self.region
        )
        return {
            (last(one.zone), one.name): one
            for one in found
            if not (one.deprecated and one.deprecated.state in ("OBSOLETE", "DELETED"))
        }

    @cached_property
    def images(self) -> Images:
        """The images."""
        return Images(self.driver, self._config, user_cache("gcp-images", LIFETIME))

    @cached_property
    def prices(self) -> Prices:
        """The prices, as far as machine types were asked for."""
        return Prices(self.region, self._known)

    def architecture(self, size: str) -> str:
        """`X86_64` or `ARM64`. Raises ConfigError for a size that is not sold here."""
        for (_, name), kind in self.machine_types.items():
            if name == size:
                return kind.architecture.replace("ARCHITECTURE_UNSPECIFIED", "X86_64")
        raise ConfigError(
            f"there is no machine type {size!r} in {self.region}", hint="check provider.gcp.sizes"
        )

    def nodes(self, labels: Mapping[str, str]) -> list[Node]:
        """The region's nodes with these labels: one call for each 500 instances."""
        query = {"filter": label_filter(labels)}
        found = self.driver.zonal(Action.LIST_INSTANCES, "instances", Instance, query, self.region)
        return [self._to_node(instance) for instance in found]

    def regions(self) -> list[str]:
        """The names of the project's regions."""
        return [region.name for region in self.driver.pages(Action.LIST_REGIONS, Region, {})]

    def node(self, zone: str, name: str) -> Node | None:
        """One node, or None when there is no such instance."""
        instance = self.instance(zone, name)
        return self._to_node(instance) if instance is not None else None

    def instance(self, zone: str, name: str) -> Instance | None:
        """One instance as the API gives it, or None when there is none."""
        at = {"zone": zone, "instance": name}
        try:
            return self.driver.call(Action.GET_INSTANCE, Instance, at)
        except ProviderError as error:
            if error.code in MISSING:
                return None
            raise

    def firewall(self, batch: Batch) -> str:
        """The network tag of a batch's run; its rules are made on first use."""
        run = (batch.labels[names.DEPLOYMENT], batch.labels[names.RUN])
        if run not in self._tags:
            sources = batch.allow_from or (self._own_address(),)
            opening = Opening(self._config.network, self.region, batch.open_ports, sources)
            self._tags[run] = open_firewall(self.driver, batch.labels, opening)
        return self._tags[run]

    def forget_firewalls(self) -> None:
        """Make rules again when they are needed next."""
        self._tags.clear()

    def _to_node(self, instance: Instance) -> Node:
        public = self._config.address == "public"
        return from_gce(self.driver.to_node(instance), self.region, self.prices.of, public=public)

    def _known(self, size: str) -> MachineType | None:
        if "machine_types" not in self.__dict__:
            return None
        return next((one for (_, name), one in self.machine_types.items() if name == size), None)

    def _own_address(self) -> str:
        if self._config.address == "private":
            raise ConfigError(
                'nodes.allow_from is needed when provider.gcp.address is "private"',
                hint="give the CIDRs from which you reach the subnetworks",
            )
        return caller_cidr(self._config.address_service)
