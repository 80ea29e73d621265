"""Which candidates a region has: zones, sizes and markets, with their prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spotdeploy.model import Market, Offer, Pool
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import PAGE, Ec2Driver
from spotdeploy_aws.prices import Prices
from spotdeploy_aws.query import Parameters, filters, text


def sold(driver: Ec2Driver, sizes: Sequence[str]) -> set[tuple[str, str]]:
    """The (zone, size) pairs in which these sizes exist at all. One paginated call."""
    parameters: Parameters = {
        "LocationType": "availability-zone",
        "Filter": filters({"instance-type": sizes}),
        "MaxResults": PAGE,
    }
    found = driver.pages(
        Action.DESCRIBE_INSTANCE_TYPE_OFFERINGS, "instanceTypeOfferingSet", parameters
    )
    return {(text(item, "location"), text(item, "instanceType")) for item in found}


def candidates(
    driver: Ec2Driver, prices: Prices, zones: Iterable[str], sizes: Sequence[str], pool: Pool
) -> list[Offer]:
    """Market by market, size by size in the order given, the cheapest zone first.

    Offers above the pool's limit are left out; so are those without a known price when there is
    a limit.
    """
    exist = sold(driver, sizes)
    spot_sizes = sorted({size for _, size in exist})
    if Market.SPOT in pool.policy.markets and spot_sizes:
        prices.refresh(spot_sizes)
    zones = list(dict.fromkeys(zones))
    return [
        offer
        for market in pool.policy.markets
        for size in sizes
        for offer in sorted(
            (_offer(driver, prices, market, zone, size) for zone in zones if (zone, size) in exist),
            key=_price_first,
        )
        if _affordable(offer, pool.max_usd_per_hour)
    ]


def _offer(driver: Ec2Driver, prices: Prices, market: Market, zone: str, size: str) -> Offer:
    return Offer(
        provider="aws",
        location=driver.region_name,
        zone=zone,
        size=size,
        market=market,
        usd_per_hour=prices.of(market, zone, size),
    )


def _price_first(offer: Offer) -> float:
    return float("inf") if offer.usd_per_hour is None else offer.usd_per_hour


def _affordable(offer: Offer, limit: float | None) -> bool:
    return limit is None or (offer.usd_per_hour is not None and offer.usd_per_hour <= limit)
