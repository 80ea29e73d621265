"""Placement: in which order the candidates of a group are tried."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from spotdeploy.model import Offer
from spotdeploy.run.context import Run

Rung = dict[tuple[str, str], list[Offer]]
"""Candidates that are tried at the same time: the key of a location to its own, best first."""


def rungs(run: Run, offers: Iterable[Offer]) -> Iterator[Rung]:
    """The candidates of one walk, in the order in which they are tried: what a rung cannot give is
    asked of the next one. `offers` are best first within each location.

    With `ordered`, a provider's markets come before the next provider; with `cheapest`, a market's
    prices before the next market, and unknown ones last. Alike are those of one provider, which a
    rung has together, or without `spread` each location after the other.
    """
    nodes, markets = run.config.nodes, run.pool.policy.markets
    places = [location.key for location in run.locations]

    def rank(offer: Offer) -> tuple[float, ...]:
        provider = run.providers.index(offer.provider)
        price = math.inf if offer.usd_per_hour is None else offer.usd_per_hour
        return (
            provider if nodes.placement == "ordered" else 0,
            markets.index(offer.market),
            price if nodes.placement == "cheapest" else 0,
            provider,
            0 if nodes.spread else places.index(_place(offer)),
        )

    for _, alike in itertools.groupby(sorted(offers, key=rank), rank):
        rung: Rung = {}
        for offer in alike:
            rung.setdefault(_place(offer), []).append(offer)
        yield {place: rung[place] for place in places if place in rung}


def in_order(run: Run, offers: Mapping[str, Sequence[Offer]]) -> list[list[Offer]]:
    """The candidates of each walk, the first to be tried first. `offers` has each provider's."""
    walks = (itertools.chain(*(offers.get(name, ()) for name in walk)) for walk in run.walks)
    return [
        [offer for rung in rungs(run, walk) for some in rung.values() for offer in some]
        for walk in walks
    ]


def _place(offer: Offer) -> tuple[str, str]:
    return offer.provider, offer.location
