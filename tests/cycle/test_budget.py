"""max_cost: refused before, stopped during, never passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from spotdeploy.cycle.budget import (
    Budget,
    BudgetError,
    Ledger,
    check_budget,
    expected_cost,
    within_budget,
)
from spotdeploy.cycle.runbook import run_cycle
from spotdeploy.errors import RefusedError
from spotdeploy.events import NodeCreated, NodeDestroyed, Note, RunStarted
from spotdeploy.model import DEFAULT_GROUP, Market, Node, NodeState, Offer, Verdict
from spotdeploy.phases.plan import Prospects
from spotdeploy.run.context import Run
from spotdeploy.state.journal import Journal
from tests.fake_project import FakeProject, configured, keeping

FakeProjects = Callable[..., FakeProject]
HOUR = 3600.0
OFFER = Offer("fake", "here", "a", "small", Market.SPOT)


def capped(fake_project: FakeProject, cap: float | None) -> Run:
    """The world's run with a `max_cost`."""
    return configured(fake_project.run, max_cost=cap)


def prospects(*rates: float | None) -> Prospects:
    offers = [Offer("fake", "here", "a", f"size-{r}", Market.SPOT, r) for r in rates]
    return Prospects({DEFAULT_GROUP: {"fake": offers}}, {})


def remember(run: Run, seconds: Sequence[float], verdict: Verdict = Verdict.PASSED) -> None:
    """Past cycles whose three nodes each ran so many seconds."""
    now = 0.0
    journal = Journal(run.journal._path, now=lambda: now)
    for index, each in enumerate(seconds):
        past = f"20260101-00000{index}-{verdict.name.lower()}"
        journal.begin_run(past, "demo", "cycle", "d")
        nodes = [Node(f"{past}-{n}", f"n{n}", "fake", "here", NodeState.RUNNING) for n in range(3)]
        journal.record_intent(past, "demo", past, OFFER, 3)
        journal.resolve_intent(past, "demo", past, nodes)
        now += each
        journal.gone("fake", "here", [node.id for node in nodes], "a test")
        journal.end_run(past, verdict, verdict.exit_code)
    journal.close()


def created(node: str, at: float, rate: float | None) -> NodeCreated:
    return NodeCreated(
        at=at,
        node=node,
        name=node,
        provider="fake",
        location="here",
        zone=None,
        size=None,
        market="spot",
        usd_per_hour=rate,
    )


def test_without_past_cycles_the_cost_is_unknown(fake_project: FakeProjects) -> None:
    assert expected_cost(fake_project().run, prospects(0.1)) is None


def test_the_estimate_is_the_median_of_passed_cycles_times_the_first_offers_rate(
    fake_project: FakeProjects,
) -> None:
    run = fake_project().run
    remember(run, [100.0, 3600.0, 200.0])
    remember(run, [9000.0, 9000.0], Verdict.PAYLOAD_FAILED)
    expected = expected_cost(run, prospects(0.9, 50.0))
    assert expected is not None
    assert expected.usd == pytest.approx(3 * 0.9 * 200 / HOUR)


def test_a_cycle_expected_to_cost_more_is_refused_with_both_amounts(
    fake_project: FakeProjects,
) -> None:
    run = capped(fake_project(), 2.0)
    remember(run, [HOUR])
    with pytest.raises(RefusedError, match=r"expected to cost \$3.00, and max_cost is \$2.00"):
        check_budget(run, prospects(1.0))


def test_a_limit_that_no_price_can_be_held_to_is_refused(fake_project: FakeProjects) -> None:
    with pytest.raises(RefusedError, match="no price of fake is known") as refusal:
        check_budget(capped(fake_project(), 2.0), prospects(None, None))
    assert "nodes.max_price" in str(refusal.value.hint)


def test_a_cycle_within_its_limit_may_begin_and_tells_what_it_expects(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    run = capped(here, 20.0)
    remember(run, [HOUR])
    check_budget(run, prospects(1.0, None))
    assert [e.text for e in here.ears.received if isinstance(e, Note)] == [
        "expected to cost $3.00, as past cycles went"
    ]


def test_several_cycles_have_one_budget(fake_project: FakeProjects) -> None:
    run = capped(fake_project(), 7.0)
    remember(run, [HOUR])
    budget = Budget(7.0)
    check_budget(run, prospects(1.0), budget)
    check_budget(run, prospects(1.0), budget)
    with pytest.raises(RefusedError, match=r"cost \$3.00, beside \$6.00 of others, and max_cost"):
        check_budget(run, prospects(1.0), budget)
    assert budget.expected == pytest.approx(6.0)


def test_a_ledger_counts_running_and_ended_nodes() -> None:
    now = 0.0
    ledger = Ledger(lambda: now)
    ledger.on(RunStarted(run="r", command="c", deployment="d", providers=(), digest="", desired=2))
    ledger.on(created("a", 0.0, 1.0))
    ledger.on(created("b", 0.0, 3.0))
    ledger.on(created("c", 0.0, None))
    now = HOUR
    assert ledger.spent == pytest.approx(4.0)
    assert sorted(ledger.rates) == [0.0, 1.0, 3.0]
    ledger.on(NodeDestroyed(at=HOUR, node="b", name="b", provider="fake", location="here"))
    now = 2 * HOUR
    assert ledger.spent == pytest.approx(5.0)
    assert sorted(ledger.rates) == [0.0, 1.0]


async def test_work_is_cancelled_before_its_nodes_cost_more_than_the_limit(
    fake_project: FakeProjects,
) -> None:
    run = capped(fake_project(), 1.0)
    cancelled = asyncio.Event()

    async def work() -> None:
        run.bus.emit(created("a", 0.0, 3600.0))  # a dollar a second, a minute is kept back
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.set()

    with pytest.raises(BudgetError, match=r"of max_cost \$1.00"):
        await within_budget(run, work(), now=lambda: 0.0)
    assert cancelled.is_set()


async def test_work_within_the_limit_gives_its_result(fake_project: FakeProjects) -> None:
    async def work() -> int:
        return 7

    assert await within_budget(capped(fake_project(), 1.0), work()) == 7
    assert await within_budget(capped(fake_project(), None), work()) == 7


async def test_a_user_who_stops_the_run_stops_the_work_too(fake_project: FakeProjects) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

    task = asyncio.ensure_future(within_budget(capped(fake_project(), 1.0), work()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_cycle_that_would_pass_its_limit_ends_and_leaves_nothing(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    run = capped(here, 0.0001)
    outcome = await run_cycle(keeping(run, "passing"))
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "of max_cost $0.0001" in outcome.message
    assert here.existing() == 0
