"""What the contract's module offers to those who write a provider."""

from __future__ import annotations

import pytest

from spotdeploy.model import Market, Offer, Pool
from spotdeploy.provider import require_labels, within_price

OFFERS = [
    Offer("acme", "here", None, size, Market.SPOT, price)
    for size, price in (("small", 0.01), ("large", 0.02), ("odd", None))
]


def test_without_a_limit_every_offer_stays() -> None:
    assert within_price(OFFERS, Pool(1)) == OFFERS


def test_what_costs_more_than_the_limit_or_an_unknown_price_is_left_out() -> None:
    assert within_price(OFFERS, Pool(1, max_usd_per_hour=0.01)) == OFFERS[:1]


def test_a_listing_by_no_labels_is_refused() -> None:
    require_labels({"deployment": "shop"})
    with pytest.raises(ValueError, match="at least one label"):
        require_labels({})
