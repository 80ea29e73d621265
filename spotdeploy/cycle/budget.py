"""Keeping a cycle within `max_cost`: an estimate before anything is made, a guard while it runs."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from spotdeploy.errors import ProviderError, RefusedError
from spotdeploy.events import Event, NodeCreated, NodeDestroyed, Note
from spotdeploy.model import Verdict
from spotdeploy.phases.placement import in_order
from spotdeploy.phases.plan import Prospects
from spotdeploy.run.context import Run
from spotdeploy.run.cost import Cost, PaidTime, estimate, seconds_left, spell_usd, total

LOOKED_BACK: Final = 10
"""How many past cycles an estimate is made from."""
RESERVE: Final = 60.0
"""Seconds that ending the nodes is expected to take; their cost is kept back."""
PAUSE: Final = 1.0
T = TypeVar("T")


class BudgetError(ProviderError):
    """The run was stopped because going on would have passed `max_cost`."""


def expected_cost(run: Run, prospects: Prospects) -> Cost | None:
    """What the cycle will cost at the first offers' rates, if nodes run as long as they did in
    past cycles. None when that is not known. Reads the journal; may be repeated."""
    expected = Cost()
    for group in run.groups:
        first = [walk[0] for walk in in_order(group, prospects.offers[group.group])]
        rates = {offer.provider: offer.usd_per_hour for offer in first}
        cost = estimate(group.pool.count, rates, _past_seconds(run))
        if cost is None:
            return None
        expected += cost
    return expected


def check_budget(run: Run, prospects: Prospects, budget: Budget | None = None) -> None:
    """Tell the estimate; refuse what is sure to cost too much, or cannot be kept within a limit.
    `budget` is that of several runs together, where there is one.

    Raises RefusedError; nothing was made.
    """
    budget = budget or Budget(run.config.max_cost)
    expected, cap = expected_cost(run, prospects), budget.cap
    if expected is not None and expected.usd:
        run.bus.emit(Note(text=f"expected to cost {expected}, as past cycles went"))
    if cap is None:
        return
    asked = [(name, some) for of_all in prospects.offers.values() for name, some in of_all.items()]
    for provider, offers in asked:
        if offers and all(offer.usd_per_hour is None for offer in offers):
            raise RefusedError(
                f"max_cost is {spell_usd(cap)}, but no price of {provider} is known",
                hint="take max_cost out, or choose sizes whose prices 'spotdeploy plan' shows; "
                "nodes.max_price would leave out all others",
            )
    if expected is not None and budget.expected + expected.usd > cap:
        beside = f", beside {spell_usd(budget.expected)} of others" if budget.expected else ""
        raise RefusedError(
            f"this cycle is expected to cost {expected}{beside}, and max_cost is {spell_usd(cap)}",
            hint="raise max_cost, ask for fewer or smaller nodes, or see 'spotdeploy plan'",
        )
    budget.expected += expected.usd if expected else 0.0


async def within_budget(
    run: Run,
    work: Awaitable[T],
    now: Callable[[], float] = time.time,
    budget: Budget | None = None,
) -> T:
    """Await the work, and cancel it before the nodes made meanwhile cost more than `max_cost`.
    A `budget` of several runs together already listens to them all.

    Raises BudgetError after cancelling; whatever the work raises.
    """
    cap = run.config.max_cost
    if cap is None:
        return await work
    ledger = budget.ledger if budget else Ledger(now)
    if not budget:
        run.bus.attach(ledger)
    task = asyncio.ensure_future(work)
    guard = asyncio.ensure_future(_until_spent(ledger, cap))
    try:
        await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise BudgetError(
            f"stopped at {spell_usd(ledger.spent)} of max_cost {spell_usd(cap)}: "
            "going on and ending the nodes would have passed it",
        )
    finally:
        task.cancel()
        guard.cancel()
        await asyncio.gather(task, guard, return_exceptions=True)
        if not budget:
            run.bus.detach(ledger)


@dataclass
class Ledger:
    """An observer that knows what the nodes made since it listens have cost."""

    now: Callable[[], float] = time.time
    _running: dict[str, NodeCreated] = field(default_factory=dict)
    _ended: list[PaidTime] = field(default_factory=list)

    def on(self, event: Event) -> None:
        """Take note of nodes that come and go."""
        if isinstance(event, NodeCreated):
            self._running[event.node] = event
        elif isinstance(event, NodeDestroyed) and event.node in self._running:
            self._ended.append(_span(self._running.pop(event.node), event.at))

    @property
    def rates(self) -> list[float]:
        """USD per hour of each node that runs and whose price is known."""
        return [node.usd_per_hour or 0.0 for node in self._running.values()]

    @property
    def spent(self) -> float:
        """USD until now."""
        now = self.now()
        running = [_span(node, now) for node in self._running.values()]
        return total([*self._ended, *running]).usd


@dataclass
class Budget:
    """What one run may spend, or several together."""

    cap: float | None
    """USD; None is no limit."""
    ledger: Ledger = field(default_factory=Ledger)
    """An observer of all of them."""
    expected: float = 0.0
    """USD that those are expected to cost which were let begin."""


async def _until_spent(ledger: Ledger, cap: float) -> None:
    while True:
        left = seconds_left(ledger.spent, ledger.rates, cap, RESERVE)
        if left <= 0:
            return
        await asyncio.sleep(min(left, PAUSE))


def _span(node: NodeCreated, end: float) -> PaidTime:
    return PaidTime(node.provider, max(0.0, end - node.at), node.usd_per_hour)


def _past_seconds(run: Run) -> Mapping[str, float | None]:
    """Provider to the median seconds of one node in past cycles that passed."""
    seconds: dict[str, list[float]] = {name: [] for name in run.providers}
    past = (
        record
        for record in run.journal.runs(run.deployment)
        if (record.command, record.verdict) == ("cycle", Verdict.PASSED) and record.ended_at
    )
    ended_at = {record.id: record.ended_at for record in itertools.islice(past, LOOKED_BACK)}
    for node in run.journal.nodes(run.deployment, gone=True):
        end = ended_at.get(node.run)
        if end is not None and node.provider in seconds:
            seconds[node.provider].append(max(0.0, min(node.gone_at or end, end) - node.made_at))
    return {name: statistics.median(each) if each else None for name, each in seconds.items()}
