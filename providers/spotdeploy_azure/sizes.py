"""Which sizes a location sells to this subscription, and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import Market
from spotdeploy_azure.actions import Action
from spotdeploy_azure.driver import AzureDriver
from spotdeploy_azure.shapes import Sku

MACHINES: Final = "virtualMachines"


@dataclass(frozen=True, slots=True)
class Size:
    """A size that is sold. https://learn.microsoft.com/en-us/rest/api/compute/resource-skus/list"""

    name: str
    arm64: bool
    spot: bool
    """False for sizes that cannot be had as Spot, such as the B series."""
    cpus: int
    zones: frozenset[str]
    """The availability zones in which it is sold."""

    def sold_as(self, market: Market, zone: str | None) -> bool:
        """True when it can be had in this market and zone; None is anywhere in the location."""
        return (market is Market.ON_DEMAND or self.spot) and (zone is None or zone in self.zones)


def sold(driver: AzureDriver, location: str, names: Sequence[str]) -> dict[str, Size]:
    """Those of the named sizes that are sold to this subscription here. One paginated call."""
    query = {"$filter": f"location eq '{location}'"}
    found = driver.pages(Action.LIST_SIZES, Sku, query=query)
    wanted = {name.lower(): name for name in names}
    return {
        wanted[sku.name.lower()]: _size(sku, wanted[sku.name.lower()])
        for sku in found
        if sku.resource_type == MACHINES and sku.name.lower() in wanted and not _kept_from_us(sku)
    }


def require(sizes: dict[str, Size], name: str, location: str) -> Size:
    """One of the sizes. Raises ConfigError when it is not sold."""
    if name in sizes:
        return sizes[name]
    raise ConfigError(
        f"Azure does not sell {name} to this subscription in {location}",
        hint="check provider.azure.sizes with 'az vm list-skus'",
    )


def _kept_from_us(sku: Sku) -> bool:
    return any(restriction.type == "Location" for restriction in sku.restrictions or ())


def _size(sku: Sku, name: str) -> Size:
    facts = {one.name: one.value for one in sku.capabilities or ()}
    closed = {
        zone
        for restriction in sku.restrictions or ()
        if restriction.restriction_info
        for zone in restriction.restriction_info.zones or ()
    }
    zones = {zone for info in sku.location_info or () for zone in info.zones or ()}
    return Size(
        name=name,
        arm64=facts.get("CpuArchitectureType", "x64").lower() == "arm64",
        spot=facts.get("LowPriorityCapable", "True") == "True",
        cpus=int(facts.get("vCPUs", "1")),
        zones=frozenset(zones - closed),
    )
