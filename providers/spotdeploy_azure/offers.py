"""Which candidates a location has: zones, sizes and markets, with their prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spotdeploy.errors import ConfigError
from spotdeploy.model import Offer, Pool
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.prices import Prices
from spotdeploy_azure.sizes import Size


def candidates(
    location: str, prices: Prices, sold: Mapping[str, Size], config: AzureConfig, pool: Pool
) -> list[Offer]:
    """Market by market, size by size, zone by zone, each in the order given.

    Offers above the pool's limit are left out; so are those without a known price when there is
    a limit.

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
    every = (
        Offer("azure", location, zone, size, market, prices.of(market, size))
        for market in pool.policy.markets
        for size in config.sizes
        for zone in zones
        if size in sold and sold[size].sold_as(market, zone)
    )
    return [offer for offer in every if _affordable(offer, pool.max_usd_per_hour)]


def _affordable(offer: Offer, limit: float | None) -> bool:
    return limit is None or (offer.usd_per_hour is not None and offer.usd_per_hour <= limit)
