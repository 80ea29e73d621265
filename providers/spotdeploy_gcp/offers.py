"""Which candidates a region has: zones, sizes and markets, with their prices."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spotdeploy.model import Offer, Pool
from spotdeploy_gcp.prices import Prices


def candidates(
    region: str,
    prices: Prices,
    zones: Sequence[str],
    sold: Collection[tuple[str, str]],
    sizes: Sequence[str],
    pool: Pool,
) -> list[Offer]:
    """Market by market, size by size, zone by zone, each in the order given.

    Offers above the pool's limit are left out; so are those without a known price when there is
    a limit. `sold` has the (zone, size) pairs that exist at all.
    """
    every = (
        Offer("gcp", region, zone, size, market, prices.of(market, zone, size))
        for market in pool.policy.markets
        for size in sizes
        for zone in zones
        if (zone, size) in sold
    )
    return [offer for offer in every if _affordable(offer, pool.max_usd_per_hour)]


def _affordable(offer: Offer, limit: float | None) -> bool:
    return limit is None or (offer.usd_per_hour is not None and offer.usd_per_hour <= limit)
