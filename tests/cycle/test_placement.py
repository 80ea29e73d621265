"""Nodes that several clouds share: by price, in order, and what one lacks from the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdeploy import patience
from spotdeploy.cli.plan import show_plan
from spotdeploy.cycle import runbook
from spotdeploy.cycle.budget import expected_cost
from spotdeploy.cycle.groups import worth_running
from spotdeploy.cycle.policy import Progress, Replacer
from spotdeploy.cycle.runbook import run_create, run_cycle, run_destroy
from spotdeploy.errors import CapacityError, ConfigError, ProviderError, Reach
from spotdeploy.events import NodeCreated, Note, OfferTried
from spotdeploy.model import (
    DEFAULT_GROUP,
    Batch,
    Created,
    MarketPolicy,
    Node,
    NodeState,
    Offer,
    Phase,
    Pool,
    Problem,
    Verdict,
)
from spotdeploy.phases.findings import draft
from spotdeploy.phases.placement import in_order
from spotdeploy.phases.plan import ask_offers
from spotdeploy.provider import SupportsPlan
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.verdict import NodeOutcome
from spotdeploy.testing.fake import faults
from tests.two_clouds import Other, TwoClouds, places, providers

BOTH = MarketPolicy.SPOT_THEN_ON_DEMAND
DEAR = {"prices": {"small": 0.04, "large": 0.16}}
"""Twice as much as the fake cloud asks by default."""
Clouds = Callable[..., TwoClouds]


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[Clouds]:
    """Makes two clouds, with a folder of their own."""
    made: list[TwoClouds] = []

    def make(**options: Any) -> TwoClouds:
        made.append(TwoClouds(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes pass as soon as they are there, as nothing answers behind the fake clouds."""

    async def at_once(node_run: NodeRun, liveness: Liveness) -> None:
        del liveness
        async with node_run.in_phase(Phase.VERIFY, 5.0):
            await asyncio.sleep(0)

    monkeypatch.setattr(runbook, "_through_verify", at_once)
    monkeypatch.setattr(runbook, "_through_reboot", at_once)


def tried(here: TwoClouds) -> list[tuple[str, str, str | None, int, int]]:
    """The table of tries."""
    return [
        (event.provider, event.size, event.zone, event.asked, event.got)
        for event in here.ears.received
        if isinstance(event, OfferTried)
    ]


def warned(here: TwoClouds) -> list[str]:
    """The warnings, without the one of a payload that these runs do not have."""
    notes = [e.text for e in here.ears.received if isinstance(e, Note) and e.warning]
    return [text for text in notes if "payload" not in text]


def test_each_provider_is_asked_for_all_unless_the_config_says_otherwise(clouds: Clouds) -> None:
    run = clouds(count=3, quorum=2).new_run()
    assert (run.desired, run.quorum, run.walks) == (6, 4, (("fake",), ("other",)))


@pytest.mark.parametrize("placement", ["cheapest", "ordered"])
def test_what_providers_share_is_count_in_all_and_so_is_the_quorum(
    clouds: Clouds, placement: str
) -> None:
    run = clouds(count=3, quorum=2, placement=placement).new_run()
    assert (run.desired, run.quorum, run.walks) == (3, 2, (("fake", "other"),))


async def test_each_makes_all_in_every_cloud(clouds: Clouds) -> None:
    here = clouds(count=2, other=DEAR)
    assert providers(await here.create(here.new_run())) == ["fake", "fake", "other", "other"]


async def test_the_cheapest_gives_all_that_it_has_room_for(clouds: Clouds) -> None:
    here = clouds(count=3, placement="cheapest", fake=DEAR)
    creation = await here.create(here.new_run())
    assert providers(creation) == ["other"] * 3
    assert creation.refusals == ()
    assert [(name, asked, got) for name, _, _, asked, got in tried(here)] == [("other", 3, 3)]


def test_candidates_are_walked_by_price_and_those_of_unknown_price_come_last(
    clouds: Clouds,
) -> None:
    here = clouds(
        placement="cheapest",
        fake={"sizes": ("huge", "large", "small"), "zones": ("a",)},
        other={"zones": ("a",), "sizes": ("tiny", "middle"), "prices": {"middle": 0.05}},
    )
    run = here.new_run()
    (walk,) = in_order(run, here.offers(run))
    assert places(walk) == [
        "fake here small spot",
        "other here middle spot",
        "fake here large spot",
        "fake here huge spot",
        "other here tiny spot",
    ]


def test_equal_prices_keep_the_order_of_the_config(clouds: Clouds) -> None:
    same = {"zones": ("a",), "prices": {"small": 0.02, "large": 0.02}, "locations": ("y", "x")}
    here = clouds(placement="cheapest", spread=False, fake=same, other=same)
    run = here.new_run()
    (walk,) = in_order(run, here.offers(run))
    assert places(walk) == [
        f"{name} {place} {size} spot"
        for name in ("fake", "other")
        for place in ("y", "x")
        for size in ("small", "large")
    ]


def test_a_market_comes_before_the_prices_within_it(clouds: Clouds) -> None:
    one = {"zones": ("a",), "sizes": ("small",)}
    dear = {**one, "prices": {"small": 4.0}}
    here = clouds(placement="cheapest", market=BOTH, fake=dear, other=one)
    run = here.new_run()
    (walk,) = in_order(run, here.offers(run))
    assert places(walk) == [
        "other here small spot",
        "fake here small spot",
        "other here small on-demand",
        "fake here small on-demand",
    ]


def test_in_order_a_provider_comes_whole_before_the_next(clouds: Clouds) -> None:
    one = {"zones": ("a",), "sizes": ("small",)}
    here = clouds(placement="ordered", market=BOTH, fake={**one, "prices": {}}, other=one)
    run = here.new_run()
    (walk,) = in_order(run, here.offers(run))
    assert places(walk) == [
        "fake here small spot",
        "fake here small on-demand",
        "other here small spot",
        "other here small on-demand",
    ]


async def test_what_the_cheapest_lacks_comes_from_the_next_and_later_from_the_cheapest_again(
    clouds: Clouds, healthy: None
) -> None:
    del healthy
    here = clouds(count=3, placement="cheapest", other=DEAR, fake={"zones": ("a",)})
    here.clouds["fake"].script(faults.NoCapacity())
    assert (await run_cycle(here.new_run())).verdict is Verdict.PASSED
    assert tried(here) == [
        ("fake", "small", "a", 3, 0),
        ("other", "small", "a", 3, 3),
    ]
    here.clouds["fake"].heal()
    outcome = await run_cycle(here.new_run())
    assert outcome.message == "all 3 nodes are healthy"
    assert [node.node.provider for node in outcome.nodes] == ["fake"] * 3
    assert here.machines() == {"fake": 0, "other": 0}


async def test_a_cloud_gives_what_it_has_and_the_next_one_the_rest(clouds: Clouds) -> None:
    here = clouds(count=5, placement="ordered", fake={"zones": ("a",), "sizes": ("small",)})
    here.clouds["fake"].script(faults.Quota(limit=2))
    run = here.new_run()
    creation = await here.create(run)
    assert providers(creation) == ["fake"] * 2 + ["other"] * 3
    assert worth_running(run, creation.nodes) == creation.nodes


async def test_fewer_than_the_quorum_of_what_is_shared_are_not_worth_running(
    clouds: Clouds,
) -> None:
    here = clouds(count=3, placement="cheapest")
    here.clouds["fake"].script(faults.PartialFill(give=2), faults.NoCapacity(at=2))
    here.clouds["other"].script(faults.NoCapacity())
    run = here.new_run()
    creation = await here.create(run)
    assert len(creation.nodes) == 2
    assert list(worth_running(run, creation.nodes)) == []


REFUSED = [
    faults.NoCapacity(),
    faults.Quota(),
    *(faults.Refused(reach=reach) for reach in (Reach.ACCOUNT, Reach.PROVIDER, Reach.LOCATION)),
    faults.Outage(call="create", times=0),
    faults.Throttled(call="create", times=0),
    faults.ExpiredCredentials(call="create"),
    faults.Bug(call="create", times=0),
]


@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("placement", ["cheapest", "ordered"])
async def test_whatever_a_cloud_refuses_another_one_serves_and_the_run_passes(
    clouds: Clouds,
    healthy: None,
    monkeypatch: pytest.MonkeyPatch,
    fault: faults.AnyFault,
    placement: str,
) -> None:
    del healthy
    monkeypatch.setattr(patience, "PATIENCE", 0.5)
    here = clouds(count=2, placement=placement, other=DEAR)
    here.clouds["fake"].script(fault)
    outcome = await run_cycle(here.new_run())
    assert (outcome.verdict, outcome.message) == (Verdict.PASSED, "all 2 nodes are healthy")
    assert [node.node.provider for node in outcome.nodes] == ["other"] * 2
    assert outcome.refusals[0].offer.startswith("fake a small spot")
    assert here.machines() == {"fake": 0, "other": 0}


@pytest.mark.parametrize(
    "silent",
    [
        (faults.LateCreate(seconds=60.0), faults.LostReply(call="create", times=0)),
        (faults.LostReply(call="create", times=0), faults.Outage(call="nodes", times=0)),
        (
            faults.LostReply(call="create", times=1),
            faults.Throttled(call="create", at=2, times=0),
            faults.Outage(call="nodes", times=0),
        ),
    ],
    ids=["late", "unlisted", "throttled after that"],
)
async def test_no_other_cloud_makes_what_a_lost_call_may_have_made(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch, silent: tuple[faults.AnyFault, ...]
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.5)
    here = clouds(count=3, placement="cheapest", other=DEAR)
    here.clouds["fake"].script(*silent)
    run = here.new_run()
    creation = await here.create(run)
    assert creation.nodes == ()
    assert here.machines() == {"fake": 3, "other": 0}
    assert [intent.count for intent in run.journal.open_intents("demo")] == [3]


async def test_what_only_part_of_a_batch_may_be_is_asked_of_nobody_else(clouds: Clouds) -> None:
    here = clouds(count=4, placement="ordered", fake={"locations": ("x", "y")})
    here.clouds["fake"].script(
        faults.LateCreate(location="x", seconds=60.0), faults.NoCapacity(location="y")
    )
    here.clouds["fake"].script(faults.LostReply(call="create", times=0))
    creation = await here.create(here.new_run())
    assert providers(creation) == ["other"] * 2
    assert here.machines() == {"fake": 2, "other": 2}


@pytest.mark.parametrize("placement", ["each", "ordered"])
@pytest.mark.parametrize(("spread", "first"), [(True, 2), (False, 4)])
async def test_nodes_are_spread_over_the_locations_of_a_provider_or_fill_the_first(
    clouds: Clouds, placement: str, spread: bool, first: int
) -> None:
    here = clouds(count=4, placement=placement, spread=spread, fake={"locations": ("y", "x")})
    creation = await here.create(here.new_run())
    mine = [node.location for node in creation.nodes if node.provider == "fake"]
    assert (mine.count("y"), mine.count("x")) == (first, 4 - first)


async def test_the_next_location_gives_what_the_first_one_lacks(clouds: Clouds) -> None:
    here = clouds(count=4, spread=False, fake={"locations": ("y", "x")}, placement="ordered")
    here.clouds["fake"].script(faults.Quota(location="y", limit=3))
    creation = await here.create(here.new_run())
    places = [(node.provider, node.location) for node in creation.nodes]
    assert places == [("fake", "y")] * 3 + [("fake", "x")]


async def test_without_spread_a_market_is_tried_in_all_locations_before_the_next(
    clouds: Clouds,
) -> None:
    here = clouds(count=1, spread=False, market=BOTH, fake={"locations": ("y", "x")})
    here.clouds["fake"].script(faults.NoCapacity(location="y"))
    creation = await here.create(here.new_run())
    (node,) = [node for node in creation.nodes if node.provider == "fake"]
    assert (node.location, str(node.market)) == ("x", "spot")


@pytest.mark.parametrize(("spread", "first"), [(True, 2), (False, 4)])
async def test_the_cheapest_is_spread_over_locations_that_cost_the_same(
    clouds: Clouds, spread: bool, first: int
) -> None:
    two = {"locations": ("y", "x")}
    here = clouds(count=4, placement="cheapest", spread=spread, fake=DEAR, other=two)
    creation = await here.create(here.new_run())
    assert providers(creation) == ["other"] * 4
    assert sum(node.location == "y" for node in creation.nodes) == first


async def test_a_replacement_is_walked_like_the_rest_and_goes_back_to_the_cheapest(
    clouds: Clouds,
) -> None:
    here = clouds(count=1, placement="cheapest", other=DEAR, on_interruption="replace")
    here.clouds["fake"].script(faults.NoCapacity())
    run = here.new_run()
    (node,) = (await here.create(run)).nodes
    assert node.provider == "other"
    here.clouds["fake"].heal()
    replacer = Replacer(run, here.offers(run), here.batch(run), [])
    lost = NodeOutcome(node, Verdict.INFRASTRUCTURE_FAILED, Phase.DEPLOY)
    (again,) = await replacer(lost)
    assert again.provider == "fake"
    here.clouds["fake"].script(faults.Quota(limit=1))
    (third,) = await replacer(NodeOutcome(node, Verdict.INFRASTRUCTURE_FAILED, Phase.DEPLOY))
    assert third.provider == "other"
    assert here.machines() == {"fake": 1, "other": 1}


async def test_with_each_a_replacement_stays_with_its_provider(clouds: Clouds) -> None:
    here = clouds(count=1, fake=DEAR, on_interruption="replace")
    run = here.new_run()
    node, _ = (await here.create(run)).nodes
    here.clouds["fake"].script(faults.NoCapacity())
    replacer = Replacer(run, here.offers(run), here.batch(run), [])
    assert await replacer(NodeOutcome(node, Verdict.INFRASTRUCTURE_FAILED, Phase.DEPLOY)) == ()


async def test_a_cloud_that_cannot_say_whose_account_it_is_makes_nothing(clouds: Clouds) -> None:
    here = clouds(count=2, placement="ordered")
    here.clouds["fake"].script(faults.Outage(call="account", times=0))
    assert providers(await here.create(here.new_run())) == ["other"] * 2
    assert warned(here) == [
        "fake is asked for no nodes: internal error, try again later",
    ]
    here.clouds["other"].script(faults.Outage(call="account", times=0))
    with pytest.raises(ProviderError, match="internal error"):
        await here.create(here.new_run())


OUT = [
    faults.ExpiredCredentials(call="any"),
    faults.Outage(call="any", times=0),
    faults.Outage(call="offers", times=0),
]


@pytest.mark.parametrize("fault", OUT, ids=["credentials", "outage", "no offers"])
@pytest.mark.parametrize("placement", ["cheapest", "ordered"])
@pytest.mark.parametrize("operation", [run_cycle, run_create])
async def test_a_cloud_that_cannot_be_asked_is_passed_over_and_told(
    clouds: Clouds, healthy: None, fault: faults.AnyFault, placement: str, operation: Any
) -> None:
    del healthy
    here = clouds(count=2, placement=placement, other=DEAR)
    here.clouds["fake"].script(fault)
    outcome = await operation(here.new_run())
    assert (outcome.verdict, len(outcome.nodes)) == (Verdict.PASSED, 2)
    (told,) = warned(here)
    assert told.startswith("fake here: passed over, and not proven empty: ")
    assert here.clouds["fake"].count("create") == 0
    assert here.machines() == {"fake": 0, "other": 0}


async def test_with_each_a_cloud_that_cannot_be_asked_stops_the_run(clouds: Clouds) -> None:
    here = clouds(count=1)
    here.clouds["fake"].script(faults.ExpiredCredentials(call="any"))
    with pytest.raises(ProviderError, match="the token has expired"):
        await run_cycle(here.new_run())
    assert here.machines() == {"fake": 0, "other": 0}


async def test_no_cloud_that_can_be_asked_stops_the_run(clouds: Clouds) -> None:
    here = clouds(count=1, placement="cheapest")
    for cloud in here.clouds.values():
        cloud.script(faults.ExpiredCredentials(call="any"))
    with pytest.raises(ProviderError, match="the token has expired"):
        await run_cycle(here.new_run())


async def test_nothing_is_made_while_nodes_may_be_in_a_cloud_that_cannot_be_asked(
    clouds: Clouds, healthy: None
) -> None:
    del healthy
    here = clouds(count=2, placement="cheapest", keep="passing", other=DEAR)
    assert (await run_cycle(here.new_run())).verdict is Verdict.PASSED
    assert here.machines() == {"fake": 2, "other": 0}
    here.clouds["fake"].script(faults.ExpiredCredentials(call="any"))
    outcome = await run_cycle(here.new_run())
    assert outcome.verdict is Verdict.LEAKED
    assert "by hand: remove m-" in outcome.message
    assert here.machines() == {"fake": 2, "other": 0}
    here.clouds["fake"].heal()
    assert (await run_destroy(here.new_run())).verdict is Verdict.PASSED
    assert here.machines() == {"fake": 0, "other": 0}


async def test_a_destroy_passes_no_cloud_over(clouds: Clouds) -> None:
    here = clouds(count=1, placement="cheapest")
    here.clouds["fake"].script(faults.ExpiredCredentials(call="any"))
    with pytest.raises(ProviderError, match="the token has expired"):
        await run_destroy(here.new_run())


async def test_one_location_that_cannot_be_asked_is_passed_over_alone(
    clouds: Clouds, healthy: None
) -> None:
    del healthy
    here = clouds(count=1, placement="ordered", fake={"locations": ("y", "x")})

    class Half(here.kinds["fake"]):  # type: ignore[name-defined,misc]
        def doctor(self) -> list[Problem]:
            down = Problem("the region is down", "wait")
            return [down] if self.location == "y" else []

    here.kinds["fake"] = Half
    outcome = await run_cycle(here.new_run())
    (node,) = outcome.nodes
    assert (node.node.provider, node.node.location) == ("fake", "x")
    assert warned(here) == ["fake y: passed over, and not proven empty: the region is down; wait"]


class Objecting(Other, SupportsPlan):
    """A cloud that would refuse, for its own reasons or the config's."""

    exit_code = 3
    counts: list[int] = []  # noqa: RUF012  # one list for the whole test

    def objections(self, pool: Pool, batch: Batch) -> list[Problem]:
        del pool
        self.counts.append(batch.count)
        return [Problem("the quota is 0", "raise it", exit_code=self.exit_code)]


async def test_a_quota_that_has_no_room_for_one_node_passes_its_cloud_over(
    clouds: Clouds, healthy: None
) -> None:
    del healthy
    here = clouds(count=3, placement="cheapest", fake=DEAR)
    here.kinds["other"] = Objecting
    Objecting.counts.clear()
    outcome = await run_cycle(here.new_run())
    assert [one.node.provider for one in outcome.nodes] == ["fake"] * 3
    assert Objecting.counts == [1]


async def test_what_the_config_is_to_blame_for_stops_the_run_whoever_could_serve_it(
    clouds: Clouds,
) -> None:
    here = clouds(count=1, placement="cheapest")

    class Wrong(Objecting):
        exit_code = 2

    here.kinds["other"] = Wrong
    with pytest.raises(ConfigError, match="the quota is 0"):
        await run_cycle(here.new_run())


def test_a_draft_asks_for_all_that_must_pass_of_a_provider_that_is_alone(clouds: Clouds) -> None:
    project = clouds(count=3, quorum=2, placement="cheapest").new_run().project
    assert draft(project).count == 1
    assert draft(project.with_providers(["other"])).count == 2


async def test_a_provider_without_a_candidate_is_told_and_the_others_serve(
    clouds: Clouds,
) -> None:
    here = clouds(count=1, placement="cheapest", max_price=0.006, other=DEAR)
    prospects = await ask_offers(here.new_run())
    assert {name: len(some) for name, some in prospects.offers[DEFAULT_GROUP].items()} == {
        "fake": 2,
        "other": 0,
    }
    (told,) = prospects.warnings
    assert told.startswith("other: no spot candidate at 0.006 USD per hour or less; ")


async def test_no_candidate_anywhere_stops_the_run(clouds: Clouds) -> None:
    here = clouds(count=1, placement="ordered", max_price=0.001)
    with pytest.raises(CapacityError, match=r"fake and other have no spot candidate at 0\.001"):
        await ask_offers(here.new_run())


async def test_the_estimate_is_for_count_nodes_of_the_first_candidate(clouds: Clouds) -> None:
    here = clouds(count=4, placement="cheapest", fake=DEAR)
    run = here.new_run()
    offers = (await ask_offers(run)).offers[DEFAULT_GROUP]
    remember(run, offers["other"][0])
    cost = expected_cost(run, await ask_offers(run))
    assert cost is not None
    assert (cost.nodes, round(cost.usd, 9)) == (4, 4 * 0.005)


def remember(run: Any, offer: Offer) -> None:
    """A past cycle whose one node ran for an hour."""
    now, journal = run.journal._now, run.journal
    journal._now = lambda: 0.0
    journal.begin_run("past", "demo", "cycle", "d")
    journal.record_intent("past", "demo", "past", offer, 1)
    node = Node("n", "n", offer.provider, offer.location, NodeState.RUNNING)
    journal.resolve_intent("past", "demo", "past", [node])
    journal._now = lambda: 3600.0
    journal.gone(offer.provider, offer.location, ["n"], "a test")
    journal.end_run("past", Verdict.PASSED, 0)
    journal._now = now


@pytest.mark.parametrize(
    ("placement", "line"),
    [
        ("each", "placement: 2 nodes on each of fake and other"),
        ("cheapest", "placement: 2 nodes in all on fake and other, walked by price"),
        ("ordered", "placement: 2 nodes in all on fake and other, the first one first"),
    ],
)
async def test_plan_tells_who_shares_and_shows_the_candidates_in_the_order_of_the_walk(
    clouds: Clouds, capsys: pytest.CaptureFixture[str], placement: str, line: str
) -> None:
    here = clouds(count=2, placement=placement, fake=DEAR)
    run = here.new_run()
    show_plan(run, await ask_offers(run), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert line in lines
    first = lines[lines.index("candidates, tried from the top:") + 2].split()
    assert first[0] == ("other" if placement == "cheapest" else "fake")


async def test_plan_tells_of_a_cloud_that_is_passed_over(
    clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    here = clouds(count=2, placement="ordered")
    here.clouds["fake"].script(faults.ExpiredCredentials(call="any"))
    run = here.new_run()
    show_plan(run, await ask_offers(run), as_json=False)
    out = capsys.readouterr().out
    assert "warning: fake here: passed over, and not proven empty: the fake cloud refuses" in out
    assert "fake      a" not in out


async def test_a_plugins_bug_in_one_cloud_takes_no_node_from_another(clouds: Clouds) -> None:
    here = clouds(count=2, placement="ordered")

    class Broken(here.kinds["fake"]):  # type: ignore[name-defined,misc]
        def create(self, *_: object) -> Created:
            raise RecursionError("too deep")

    here.kinds["fake"] = Broken
    creation = await here.create(here.new_run())
    assert providers(creation) == ["other"] * 2
    assert "RecursionError: too deep" in creation.refusals[0].message
    made = [event for event in here.ears.received if isinstance(event, NodeCreated)]
    assert len(made) == 2
    assert Progress().unanswered == ()
