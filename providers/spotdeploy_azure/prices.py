"""What a node costs, from Azure's public list of retail prices, when the config says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import msgspec

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Market

TIMEOUT: Final = 30.0
MOST_PAGES: Final = 20


class Price(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One price. https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices"""

    arm_sku_name: str
    sku_name: str
    product_name: str
    retail_price: float
    unit_of_measure: str = ""


class PricePage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One page of prices."""

    items: list[Price]
    next_page_link: str | None = None


class Prices:
    """The prices of one location, as far as they were asked for."""

    def __init__(self, service: str | None, location: str) -> None:
        """Calls nothing. `service` is the URL of the Retail Prices API, or None."""
        self._service = service
        self._location = location
        self._known: dict[tuple[Market, str], float] = {}

    @property
    def can_be_known(self) -> bool:
        """False when the config names no price service."""
        return self._service is not None

    def refresh(self, sizes: Sequence[str]) -> None:
        """Ask for the prices of these sizes: one paginated call; none without a service."""
        if self._service is None:
            return
        names = " or ".join(f"armSkuName eq '{size}'" for size in sizes)
        wanted = (
            "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' "
            f"and armRegionName eq '{self._location}' and ({names})"
        )
        link: str | None = f"{self._service}/api/retail/prices?{urlencode({'$filter': wanted})}"
        for _ in range(MOST_PAGES):
            if link is None:
                return
            page = _page(link)
            for price in page.items:
                self._keep(price)
            link = page.next_page_link

    def of(self, market: Market, size: str | None) -> float | None:
        """USD per hour for one node, or None when unknown. Calls nothing."""
        return self._known.get((market, size or ""))

    def _keep(self, price: Price) -> None:
        """A 0.0 is unknown, never free; Windows and the old low priority are not what we make."""
        words = price.sku_name.lower()
        if "windows" in price.product_name.lower() or "low priority" in words:
            return
        if price.unit_of_measure == "1 Hour" and price.retail_price > 0:
            market = Market.SPOT if words.endswith("spot") else Market.ON_DEMAND
            self._known[market, price.arm_sku_name] = price.retail_price


def _page(link: str) -> PricePage:
    if urlsplit(link).scheme not in ("http", "https"):
        raise ConfigError(f"provider.azure.price_service: {link!r} is not an http(s) URL")
    try:
        with urlopen(link, timeout=TIMEOUT) as answer:  # noqa: S310  # checked above
            return msgspec.json.decode(answer.read(), type=PricePage)
    except (URLError, OSError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise ProviderError(f"cannot ask for prices: {error}") from error
    except msgspec.DecodeError as error:
        raise ProviderError(f"the price service's answer is not as documented: {error}") from error
