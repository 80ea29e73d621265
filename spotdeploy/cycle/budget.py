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
from spotdeploy.phases.plan import Prospects
from spotdeploy.report.run_store import run_folders, written_report
from spotdeploy.run.context import Session
from spotdeploy.run.cost import Cost, Span, estimate, seconds_left, spell_usd, total

LOOKED_BACK: Final = 10
"""How many past runs an estimate looks at."""
RESERVE: Final = 60.0
"""Seconds that ending the nodes is expected to take; their cost is kept back."""
PAUSE: Final = 1.0
T = TypeVar("T")


class BudgetError(ProviderError):
    """The run was stopped because going on would have passed `max_cost`."""


def expected_cost(session: Session, prospects: Prospects) -> Cost | None:
    """What the cycle will cost at the first offers' rates, if nodes run as long as they did in
    past cycles. None when that is not known. Reads past reports; may be repeated."""
    rates = {name: offers[0].usd_per_hour for name, offers in prospects.offers.items()}
    return estimate(session.pool.count, rates, _past_seconds(session))


def check_budget(session: Session, prospects: Prospects) -> None:
    """Tell the estimate; refuse what is sure to cost too much, or cannot be kept within a limit.

    Raises RefusedError; nothing was made.
    """
    expected, cap = expected_cost(session, prospects), session.settings.config.max_cost
    if expected is not None and expected.usd:
        session.bus.emit(Note(text=f"expected to cost {expected}, as past cycles went"))
    if cap is None:
        return
    for provider, offers in prospects.offers.items():
        if all(offer.usd_per_hour is None for offer in offers):
            raise RefusedError(
                f"max_cost is {spell_usd(cap)}, but no price of {provider} is known",
                hint="set nodes.max_price as well, or take max_cost out",
            )
    if expected is not None and expected.usd > cap:
        raise RefusedError(
            f"this cycle is expected to cost {expected}, and max_cost is {spell_usd(cap)}",
            hint="raise max_cost, ask for fewer or smaller nodes, or look at 'spotdeploy plan'",
        )


async def within_budget(
    session: Session, work: Awaitable[T], now: Callable[[], float] = time.time
) -> T:
    """Await the work, and cancel it before the nodes made meanwhile cost more than `max_cost`.

    Raises BudgetError after cancelling; whatever the work raises.
    """
    cap = session.settings.config.max_cost
    if cap is None:
        return await work
    ledger = Ledger(now)
    session.bus.attach(ledger)
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
        session.bus.detach(ledger)


@dataclass
class Ledger:
    """An observer that knows what the nodes made since it listens have cost."""

    now: Callable[[], float] = time.time
    _running: dict[str, NodeCreated] = field(default_factory=dict)
    _ended: list[Span] = field(default_factory=list)

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


async def _until_spent(ledger: Ledger, cap: float) -> None:
    while True:
        left = seconds_left(ledger.spent, ledger.rates, cap, RESERVE)
        if left <= 0:
            return
        await asyncio.sleep(min(left, PAUSE))


def _span(node: NodeCreated, end: float) -> Span:
    return Span(node.provider, max(0.0, end - node.at), node.usd_per_hour)


def _past_seconds(session: Session) -> Mapping[str, float | None]:
    """Provider to the median seconds of one node in past cycles that passed."""
    seconds: dict[str, list[float]] = {name: [] for name in session.providers}
    folders = reversed(run_folders(session.settings.state))
    reports = (report for folder in folders if (report := written_report(folder)))
    fitting = (
        report
        for report in reports
        if report.deployment == session.deployment
        and report.command == "cycle"
        and report.verdict == "passed"
    )
    for report in itertools.islice(fitting, LOOKED_BACK):
        for provider, cost in report.costs.items():
            if provider in seconds and cost.nodes:
                seconds[provider].append(cost.node_seconds / cost.nodes)
    return {name: statistics.median(past) if past else None for name, past in seconds.items()}
