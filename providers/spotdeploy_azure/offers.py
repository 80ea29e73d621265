"""What a virtual machine can be had as: zones, sizes, markets and their prices, and images."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Market, Offer, Pool
from spotdeploy_azure.actions import Action
from spotdeploy_azure.api import AzureDriver
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.schemas import Named, Price, PricePage, Sku
from spotdeploy_libcloud.paging import all_pages
from spotdeploy_libcloud.request import Body
from spotdeploy_libcloud.transport import guard_session

MACHINES: Final = "virtualMachines"
PRICES_TIMEOUT: Final = 30.0
PRICES_CONNECT: Final = 5.0
"""Seconds."""
CANONICAL: Final = "Canonical"
"""https://documentation.ubuntu.com/azure/azure-how-to/instances/find-ubuntu-images/"""
UBUNTU_LTS: Final = "ubuntu-lts"
_RELEASE: Final = re.compile(r"ubuntu-(?P<release>\d\d)_04-lts")
_URN_PARTS: Final = 4
_IN_GALLERY: Final = r"/images/[^/]+(/versions/[^/]+)?"
_IMAGE_ID: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute/"
    rf"(images/[^/]+|galleries/[^/]+{_IN_GALLERY})"
    rf"|/(sharedGalleries|communityGalleries)/[^/]+{_IN_GALLERY}",
    re.IGNORECASE,
)
"""https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/create-or-update#imagereference"""


def candidates(
    location: str, prices: Prices, sold: Mapping[str, Size], config: AzureConfig, pool: Pool
) -> list[Offer]:
    """Market by market, size by size, zone by zone, each in the order given.

    Raises:
        ConfigError: there is a limit, and no way to know a price.
    """
    if pool.max_usd_per_hour is not None and not prices.can_be_known:
        raise ConfigError(
            "nodes.max_price is set, and prices on Azure are unknown",
            hint='set price_service = "https://prices.azure.com" under [provider.azure]',
        )
    prices.refresh(list(sold))
    zones: Sequence[str | None] = config.zones or (None,)
    return [
        Offer(
            provider="azure",
            location=location,
            zone=zone,
            size=size,
            market=market,
            usd_per_hour=prices.of(market, zone, size),
            family=sold[size].family,
            architecture="arm64" if sold[size].arm64 else "x64",
        )
        for market in pool.policy.markets
        for size in config.sizes
        for zone in zones
        if size in sold and sold[size].sold_as(market, zone)
    ]


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
    family: str
    """Azure's name for the sizes that one quota counts together."""
    generation2: bool = True
    """False for sizes that boot images of Hyper-V's first generation only."""

    def sold_as(self, market: Market, zone: str | None) -> bool:
        """True when it can be had in this market and zone; None is anywhere in the location."""
        return (market is Market.ON_DEMAND or self.spot) and (zone is None or zone in self.zones)


def skus(driver: AzureDriver, location: str) -> list[Sku]:
    """What there is to be had in a location, sold to this subscription or not. One paginated
    call."""
    query = {"$filter": f"location eq '{location}'"}
    return driver.pages(Action.LIST_SIZES, Sku, query=query)


def sold(found: Iterable[Sku], names: Sequence[str]) -> dict[str, Size]:
    """Those of the named sizes that are sold to this subscription."""
    spelling = {name.lower(): name for name in names}
    return {
        spelling[sku.name.lower()]: _size(sku, spelling[sku.name.lower()])
        for sku in found
        if sku.resource_type == MACHINES and sku.name.lower() in spelling and not _kept_from_us(sku)
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
        family=sku.family,
        generation2="V2" in facts.get("HyperVGenerations", "V1,V2").split(","),
    )


class Prices:
    """The prices of one location, as far as they were asked for."""

    def __init__(self, service: str | None, location: str) -> None:
        """Calls nothing. `service` is the URL of the Retail Prices API, or None."""
        self._service = service
        self._location = location
        self._known: dict[tuple[Market, str], float] = {}
        self._clock = time.time

    @property
    def can_be_known(self) -> bool:
        """False when the config names no price service."""
        return self._service is not None

    def refresh(self, sizes: Sequence[str]) -> None:
        """Ask for the prices of these sizes: one paginated call; none without a service."""
        if self._service is None or not sizes:
            return
        names = " or ".join(f"armSkuName eq '{size}'" for size in sizes)
        filter_ = (
            "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' "
            f"and armRegionName eq '{self._location}' and ({names})"
        )
        query = urlencode({"currencyCode": "'USD'", "$filter": filter_})
        first = f"{self._service.rstrip('/')}/api/retail/prices?{query}"

        def page(link: str | None) -> tuple[list[Price], str | None]:
            found = _price_page(link or first)
            return found.items, found.next_page_link

        self._known = valid_prices(all_pages(page, "the price list"), self._clock())

    def of(self, market: Market, zone: str | None, size: str | None) -> float | None:  # noqa: ARG002  # the same everywhere
        """USD per hour for one node, or None when unknown, in any zone. Calls nothing."""
        return self._known.get((market, size or ""))


def valid_prices(prices: Sequence[Price], now: float) -> dict[tuple[Market, str], float]:
    """The prices of Linux machines by market and size, in USD per hour, that hold at a Unix time.

    The list has the same size under Windows and Cloud Services too, and as the old low priority,
    each with times in which it holds. Of several that hold, the one that began last does; where two
    of these differ, the price is not known. A 0.0 is unknown, never free.
    """
    found: dict[tuple[Market, str], dict[float, set[float]]] = {}
    for price in prices:
        name = price.sku_name.lower()
        began = price.effective_start_date.timestamp() if price.effective_start_date else 0.0
        ends = price.effective_end_date.timestamp() if price.effective_end_date else math.inf
        if not _is_ours(price, name) or not began <= now < ends:
            continue
        market = Market.SPOT if name.endswith(" spot") else Market.ON_DEMAND
        known = found.setdefault((market, price.arm_sku_name), {})
        known.setdefault(began, set()).add(price.retail_price)
    last = {key: times[max(times)] for key, times in found.items()}
    return {key: next(iter(one)) for key, one in last.items() if len(one) == 1}


def _is_ours(price: Price, name: str) -> bool:
    product = price.product_name.lower()
    other = " win" in product or "cloud services" in product or "low priority" in name
    hourly = price.unit_of_measure == "1 Hour" and price.type == "Consumption"
    return hourly and not other and price.currency_code == "USD" and price.retail_price > 0


def _price_page(link: str) -> PricePage:
    if urlsplit(link).scheme not in ("http", "https"):
        raise ConfigError(f"provider.azure.price_service: {link!r} is not an http(s) URL")
    import requests

    with requests.Session() as session:
        guard_session(SimpleNamespace(session=session))
        try:
            answer = session.get(link, timeout=(PRICES_CONNECT, PRICES_TIMEOUT))
            answer.raise_for_status()
        except requests.RequestException as error:
            raise ProviderError(f"cannot ask for prices: {error}") from error
    try:
        return msgspec.json.decode(answer.content, type=PricePage)
    except msgspec.DecodeError as error:
        raise ProviderError(f"the price service's answer is not as documented: {error}") from error


class Images:
    """Finds images."""

    def __init__(self, driver: AzureDriver, config: AzureConfig, location: str) -> None:
        """Calls nothing."""
        self._driver = driver
        self._config = config
        self._location = location

    def reference(self, size: Size) -> Body:
        """The `imageReference` for a size. May call once; may be repeated.

        Raises ConfigError when there is no such image.
        """
        image = self._config.image
        if image == UBUNTU_LTS:
            return _marketplace(CANONICAL, self._newest, _ubuntu_sku(size), "latest")
        if _IMAGE_ID.fullmatch(image):
            return {"id": image}
        parts = image.split(":")
        if image.startswith("/") or len(parts) != _URN_PARTS or not all(parts):
            raise ConfigError(
                f"provider.azure.image: {image!r} is not an image",
                hint='give "ubuntu-lts", "publisher:offer:sku:version", or the id of a managed '
                "image, or of an image or image version in a gallery",
            )
        return _marketplace(*parts)

    @cached_property
    def _newest(self) -> str:
        """The newest release that is supported for long: https://ubuntu.com/about/release-cycle"""
        at = {"location": self._location, "publisher": CANONICAL}
        offers = self._driver.call(Action.LIST_OFFERS, list[Named], at)
        found = [match for one in offers if (match := _RELEASE.fullmatch(one.name))]
        supported = [match for match in found if int(match["release"]) % 2 == 0]
        if not supported:
            raise ConfigError(
                f"{CANONICAL} offers no Ubuntu LTS image in {self._location}",
                hint="set provider.azure.image",
            )
        return max(supported, key=lambda match: match["release"]).string


def _ubuntu_sku(size: Size) -> str:
    """https://documentation.ubuntu.com/azure/azure-how-to/instances/find-ubuntu-images/"""
    if size.arm64:
        return "server-arm64"
    return "server" if size.generation2 else "server-gen1"


def _marketplace(publisher: str, offer: str, sku: str, version: str) -> Body:
    return {"publisher": publisher, "offer": offer, "sku": sku, "version": version}
