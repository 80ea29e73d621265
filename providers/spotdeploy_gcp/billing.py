"""What the parts of an instance cost, by Google's own price list.

https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Final

import msgspec

from spotdeploy.errors import ProviderError
from spotdeploy.model import Market
from spotdeploy_gcp.api import read, refusal
from spotdeploy_gcp.schemas import Sku, SkuPage
from spotdeploy_libcloud.cache import Cache
from spotdeploy_libcloud.paging import all_pages
from spotdeploy_libcloud.transport import guard_session

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-billing.readonly",)
COMPUTE_ENGINE: Final = "services/6F81-5844-456A"
CALL: Final = "cloudbilling.services.skus.list"
PAGE: Final = 5000
TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 5.0
"""Seconds: a price is worth no wait where the API has no route, as in closed networks."""
"""Seconds for one page."""
HOUR: Final = 3600.0
"""Seconds for which prices are kept. Google changes those of spot instances once a day at most:
https://cloud.google.com/compute/docs/instances/spot#pricing"""
MARKETS: Final = {"OnDemand": Market.ON_DEMAND, "Preemptible": Market.SPOT}
UNITS: Final = {"Core": "h", "Ram": "GiBy.h"}
_PART: Final = re.compile(
    r"(Spot Preemptible |Preemptible )?"
    r"(?P<family>[A-Z]\d+[A-Z]?|Compute optimized)( AMD| Arm)?( Predefined)?( Instance)? "
    r"(?P<part>Core|Ram) running in .+"
)
"""How the price of a CPU or of a GiB is called. Others, such as those of custom machine types,
commitments, sole tenants and reservations, are called otherwise."""
_FETCHING: Final = threading.Lock()
_FAILED: Final[dict[str, tuple[float, ProviderError]]] = {}
"""Service to when it failed last, and how."""


class PriceList:
    """The rates of CPUs and memory in all regions."""

    def __init__(
        self, service: str, headers: Callable[[], Mapping[str, str]], cache: Cache
    ) -> None:
        """`service` is the API's URL; `headers` say who asks. Calls nothing."""
        self._service = service
        self._headers = headers
        self._cache = cache

    def rates(self) -> Mapping[str, str]:
        """USD per hour by `rate_key`. Asks for the whole list when the kept one is too old, which
        takes some seconds; may be repeated. Whoever waits for another region's question shares its
        answer, and its failure.

        Raises ProviderError when the list is not to be had.
        """
        asked_at = time.monotonic()
        with _FETCHING:
            failed = _FAILED.get(self._service)
            if failed and failed[0] > asked_at:
                raise failed[1]
            try:
                return self._cache.remember(self._service, lambda: dict(_rates(self._skus())))
            except ProviderError as error:
                _FAILED[self._service] = time.monotonic(), error
                raise

    def _skus(self) -> list[Sku]:
        import requests
        from requests.exceptions import RequestException

        session = requests.Session()
        guard_session(SimpleNamespace(session=session))

        def page(token: str | None) -> tuple[list[Sku], str]:
            query = {"currencyCode": "USD", "pageSize": str(PAGE), "pageToken": token or ""}
            url = f"{self._service}/v1/{COMPUTE_ENGINE}/skus"
            try:
                answer = session.get(
                    url,
                    params=query,
                    headers=dict(self._headers()),
                    timeout=(CONNECT_TIMEOUT, TIMEOUT),
                )
            except RequestException as error:
                raise ProviderError(f"{CALL}: no answer from {self._service}") from error
            if answer.status_code >= 400:
                raise refusal(answer.text, answer.status_code, CALL)
            try:
                found = read(msgspec.json.decode(answer.content), SkuPage)
            except msgspec.DecodeError as error:
                raise ProviderError(f"{CALL}: the answer cannot be read") from error
            return found.skus, found.next_page_token

        with session:
            return all_pages(page, CALL)


def rate_key(region: str, market: Market, family: str, part: str) -> str:
    """The name of a rate; `part` is `cpu` or `ram`."""
    return f"{region} {market} {family} {part}"


def _rates(skus: list[Sku]) -> Iterator[tuple[str, str]]:
    """What is told once: a rate with several prices is not known."""
    found: dict[str, set[float | None]] = {}
    for sku in skus:
        named = _PART.fullmatch(sku.description)
        market = MARKETS.get(sku.category.usage_type)
        if named is None or market is None or sku.category.resource_family != "Compute":
            continue
        family = named["family"].lower().replace("compute optimized", "c2")
        part = {"Core": "cpu", "Ram": "ram"}[named["part"]]
        for region in sku.service_regions:
            price = _usd(sku, UNITS[named["part"]])
            found.setdefault(rate_key(region, market, family, part), set()).add(price)
    for key, prices in found.items():
        if len(prices) == 1 and (price := prices.pop()):
            yield key, repr(price)


def _usd(sku: Sku, unit: str) -> float | None:
    """USD for an hour of one; None when it depends on the amount, or is in other units."""
    infos = [info.pricing_expression for info in sku.pricing_info]
    if len(infos) != 1 or infos[0].usage_unit != unit or len(infos[0].tiered_rates) != 1:
        return None
    price = infos[0].tiered_rates[0].unit_price
    return int(price.units) + price.nanos / 1e9 if price.currency_code == "USD" else None
