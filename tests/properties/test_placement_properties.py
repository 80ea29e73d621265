"""Whatever two clouds refuse: never more nodes than asked for, and every refusal walked on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.errors import Reach
from spotdeploy.events import OfferTried
from spotdeploy.model import MarketPolicy
from spotdeploy.phases.placement import in_order
from spotdeploy.run.context import Run
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault
from tests.fake_project import Creation
from tests.properties import virtual
from tests.properties.effort import MANY
from tests.two_clouds import KINDS, TwoClouds

PLACE = {
    "at": st.integers(1, 3),
    "times": st.integers(0, 3),
    "zone": st.sampled_from([None, "a", "b"]),
    "location": st.sampled_from([None, "x", "y"]),
}
ON_CREATE = {"at": st.integers(1, 3), "times": st.integers(0, 3), "call": st.just("create")}
REFUSALS: list[st.SearchStrategy[AnyFault]] = [
    st.builds(faults.NoCapacity, **PLACE),
    st.builds(faults.Quota, **PLACE, limit=st.integers(0, 3), whole=st.booleans()),
    st.builds(faults.PartialFill, **PLACE, give=st.integers(1, 3)),
    st.builds(faults.Refused, **PLACE, reach=st.sampled_from([Reach.OFFER, Reach.ZONE])),
    st.builds(faults.Outage, **ON_CREATE),
]
"""What reaches single offers, zones and locations, and leaves nothing open."""
OPEN: list[st.SearchStrategy[AnyFault]] = [
    st.builds(faults.LostReply, **ON_CREATE),
    st.builds(faults.LateCreate, **PLACE, seconds=st.sampled_from([1.0, 600.0])),
    st.builds(faults.Throttled, **ON_CREATE),
    st.builds(faults.ExpiredCredentials, **ON_CREATE),
    st.builds(faults.Bug, **ON_CREATE),
    st.builds(faults.Outage, at=st.integers(1, 2), times=st.just(0), call=st.just("nodes")),
]
REFUSING = st.lists(st.one_of(*REFUSALS), max_size=4)
ANYTHING = st.lists(st.one_of(*REFUSALS, *OPEN), max_size=5)
NODES = st.fixed_dictionaries(
    {
        "count": st.integers(1, 6),
        "placement": st.sampled_from(["each", "cheapest", "ordered"]),
        "spread": st.booleans(),
        "market": st.sampled_from(list(MarketPolicy)),
    }
)
PRICES = st.fixed_dictionaries({}, optional={"small": st.sampled_from([0.01, 0.02, 0.03])})


def played(
    nodes: dict[str, Any],
    prices: Sequence[dict[str, float]],
    scripts: Sequence[list[AnyFault]],
) -> tuple[TwoClouds, Run, Creation]:
    """Nodes asked of two clouds with these prices and faults."""
    clock = ManualClock()
    memory = Path("/dev/shm")  # only a parent
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        config = [{"locations": ("x", "y"), "prices": one} for one in prices]
        here = TwoClouds(Path(folder), fake=config[0], other=config[1], clock=clock, **nodes)
        for name, script in zip(KINDS, scripts, strict=True):
            here.clouds[name].script(*script)
        run = here.new_run()
        try:
            return here, run, virtual.run(clock, here.create(run))
        finally:
            here.close()


@given(NODES, st.tuples(PRICES, PRICES), st.tuples(ANYTHING, ANYTHING))
@example(
    {"count": 3, "placement": "cheapest", "spread": True, "market": MarketPolicy.SPOT},
    ({"small": 0.01}, {"small": 0.02}),
    ([faults.LateCreate(seconds=600.0), faults.LostReply(times=0)], []),
)
@example(
    {"count": 2, "placement": "ordered", "spread": True, "market": MarketPolicy.SPOT},
    ({}, {}),
    ([faults.LostReply(), faults.Outage(call="create", at=2)], []),
)
@MANY
def test_never_more_machines_exist_than_were_asked_for(
    nodes: dict[str, Any],
    prices: tuple[dict[str, float], dict[str, float]],
    scripts: tuple[list[AnyFault], list[AnyFault]],
) -> None:
    here, run, creation = played(nodes, prices, scripts)
    machines = here.machines()
    for walk in run.walks:
        assert sum(machines[name] for name in walk) <= run.pool.count
    assert len(creation.nodes) <= sum(machines.values()) <= run.desired


@given(NODES, st.tuples(PRICES, PRICES), st.tuples(REFUSING, REFUSING))
@MANY
def test_no_walk_ends_short_while_an_offer_is_left_that_no_refusal_reached(
    nodes: dict[str, Any],
    prices: tuple[dict[str, float], dict[str, float]],
    scripts: tuple[list[AnyFault], list[AnyFault]],
) -> None:
    here, run, creation = played(nodes, prices, scripts)
    tried = [event for event in here.ears.received if isinstance(event, OfferTried)]
    missed = {(one.provider, one.location) for one in tried if one.got < one.asked}
    for walk in run.walks:
        made = sum(node.provider in walk for node in creation.nodes)
        if made < run.pool.count:
            assert missed >= {(name, place) for name in walk for place in ("x", "y")}


@given(
    NODES.filter(lambda nodes: nodes["placement"] != "each"), st.tuples(PRICES, PRICES), REFUSING
)
@MANY
def test_offers_are_tried_in_the_order_of_the_walk(
    nodes: dict[str, Any],
    prices: tuple[dict[str, float], dict[str, float]],
    script: list[AnyFault],
) -> None:
    here, run, _ = played({**nodes, "spread": False}, prices, (script, script))
    (walk,) = in_order(run, here.offers(run))
    order = [(one.provider, one.location, one.zone, one.size, str(one.market)) for one in walk]
    places = [
        order.index((one.provider, one.location, one.zone, one.size, str(one.market)))
        for one in here.ears.received
        if isinstance(one, OfferTried)
    ]
    assert places == sorted(places)
