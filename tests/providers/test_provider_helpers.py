"""What the contract's module offers to those who write a provider."""

from __future__ import annotations

import pytest

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    ThrottledError,
)
from spotdeploy.model import Batch, Created, Market, Node, NodeState, Offer, Pool
from spotdeploy.provider import create_each, require_labels, within_price

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


def batch(count: int) -> Batch:
    return Batch("t-1", count, {"deployment": "shop"}, b"", "root")


def node(name: str) -> Node:
    return Node(name, name, "acme", "here", NodeState.PENDING)


class Makes:
    """A cloud that makes nodes one by one until it refuses."""

    def __init__(self, *refusals: ProviderError | None) -> None:
        self.refusals = list(refusals)
        self.asked: list[str] = []
        self.undone: list[str] = []

    def __call__(self, name: str) -> Node:
        self.asked.append(name)
        if error := self.refusals.pop(0):
            raise error
        return node(name)


def test_each_node_of_a_batch_has_a_name_that_follows_from_its_token() -> None:
    make = Makes(None, None, None)
    created = create_each(batch(3), make, make.undone.append)
    assert created == Created((node("t-1-1"), node("t-1-2"), node("t-1-3")))
    assert make.asked == ["t-1-1", "t-1-2", "t-1-3"]
    assert make.undone == []


def test_a_refusal_after_the_first_is_a_shortfall_and_ends_the_asking() -> None:
    for refusal in (CapacityError("full"), QuotaError("full"), CredentialsError("full")):
        make = Makes(None, refusal)
        created = create_each(batch(3), make, make.undone.append)
        assert created == Created((node("t-1-1"),), "full")
        assert make.undone == ["t-1-2"]


def test_a_refusal_of_the_first_is_raised_once_it_is_undone() -> None:
    make = Makes(CapacityError("full"))
    with pytest.raises(CapacityError, match="full"):
        create_each(batch(2), make, make.undone.append)
    assert make.undone == ["t-1-1"]


@pytest.mark.parametrize("kind", [ThrottledError, LostReplyError])
def test_what_is_asked_again_with_the_same_names_is_not_undone(kind: type[ProviderError]) -> None:
    make = Makes(None, kind("later"))
    with pytest.raises(kind):
        create_each(batch(2), make, make.undone.append)
    assert make.undone == []
