"""What `BaseProvider` does for every provider that is written on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest

from spotdeploy.errors import CredentialsError, ProviderError
from spotdeploy.labels import ANY, DEPLOYMENT, RUN
from spotdeploy.model import (
    Batch,
    Created,
    Fate,
    FateKind,
    Market,
    Node,
    NodeState,
    Offer,
    Pool,
    Resource,
)
from spotdeploy.provider import BaseProvider, ProviderConfig

SHOP = {DEPLOYMENT: "shop", RUN: "r1"}
BANK = {DEPLOYMENT: "bank", RUN: "r2"}


class Careless(BaseProvider[ProviderConfig]):
    """It gives all it has, whatever it is asked for, and writes down what reaches it."""

    name: ClassVar[str] = "careless"
    Config: ClassVar[type[ProviderConfig]] = ProviderConfig
    refusal: ProviderError | None = None

    def __init__(self, config: ProviderConfig, location: str) -> None:
        super().__init__(config, location)
        self.calls: list[object] = []

    @classmethod
    def locations(cls, config: ProviderConfig) -> Sequence[str]:
        del config
        return ("here",)

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        return [
            Offer(self.name, self.location, None, size, pool.policy.markets[0], price)
            for size, price in (("dear", 9.0), ("cheap", 0.1), ("unknown", None))
        ]

    def create(self, offer: Offer, batch: Batch) -> Created:
        raise NotImplementedError

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        self.calls.append(labels)
        if self.refusal:
            raise self.refusal
        running, gone = NodeState.RUNNING, NodeState.GONE
        return [
            Node("n1", "n1", self.name, self.location, running, SHOP),
            Node("n2", "n2", self.name, self.location, gone, SHOP),
            Node("n3", "n3", self.name, self.location, running, BANK),
            Node("n4", "n4", self.name, self.location, running),
        ]

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        self.calls.append(nodes)

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        self.calls.append(labels)
        return [
            Resource("disk", f"d{number}", self.name, self.location, its)
            for number, its in enumerate((SHOP, BANK, {}), 1)
        ]

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        self.calls.append(resources)

    def fate(self, node: Node) -> Fate:
        return Fate(FateKind.ALIVE, node.id)

    def auto_shutdown(self) -> str:
        return "nothing"


@pytest.fixture
def provider() -> Careless:
    return Careless(ProviderConfig(), "here")


def test_what_it_was_made_with_is_kept(provider: Careless) -> None:
    assert (provider.config, provider.location) == (ProviderConfig(), "here")


def test_a_listing_by_no_labels_is_refused_before_the_cloud_is_asked(provider: Careless) -> None:
    with pytest.raises(ValueError, match="at least one label"):
        provider.nodes({})
    with pytest.raises(ValueError, match="at least one label"):
        provider.leftovers({})
    assert provider.calls == []


@pytest.mark.parametrize(
    ("labels", "nodes", "leftovers"),
    [
        (SHOP, ["n1"], ["d1"]),
        ({DEPLOYMENT: ANY}, ["n1", "n3"], ["d1", "d2"]),
        ({**SHOP, RUN: "r2"}, [], []),
        ({"colour": ANY}, [], []),
    ],
)
def test_what_lacks_a_label_or_is_gone_is_left_out(
    provider: Careless, labels: Mapping[str, str], nodes: list[str], leftovers: list[str]
) -> None:
    assert [node.id for node in provider.nodes(labels)] == nodes
    assert [thing.id for thing in provider.leftovers(labels)] == leftovers
    assert provider.calls == [labels, labels]


def test_an_empty_list_does_not_reach_the_cloud(provider: Careless) -> None:
    provider.destroy([])
    provider.release([])
    assert provider.calls == []
    nodes, things = provider.nodes(SHOP), provider.leftovers(SHOP)
    provider.destroy(nodes)
    provider.release(things)
    assert provider.calls[2:] == [nodes, things]


def test_offers_keep_to_the_price_limit_and_to_their_order(provider: Careless) -> None:
    assert [offer.size for offer in provider.offers(Pool(1))] == ["dear", "cheap", "unknown"]
    limited = provider.offers(Pool(1, max_usd_per_hour=0.5))
    assert [(offer.size, offer.market) for offer in limited] == [("cheap", Market.SPOT)]


def test_the_doctor_tells_why_a_listing_is_refused(provider: Careless) -> None:
    assert list(provider.doctor()) == []
    assert provider.calls == [{DEPLOYMENT: ANY}]
    provider.refusal = CredentialsError("the token has expired", hint="log in again")
    (problem,) = provider.doctor()
    assert (problem.what, problem.remedy, problem.fatal) == (
        "the token has expired",
        "log in again",
        True,
    )
