"""Providers side by side: what each gave, how fast, and for how much."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spotdeploy.report.model import RunReport
from spotdeploy.report.story import Lane, Story
from spotdeploy.run.cost import Cost


@dataclass(frozen=True, slots=True)
class Cloud:
    """One provider in one run. Times are medians in seconds; None when no node came so far."""

    name: str
    asked: int
    nodes: int
    passed: int
    interrupted: int
    boot: float | None
    whole: float | None
    """From its creation to its verdict, of nodes that passed."""
    cost: Cost


def clouds(story: Story, report: RunReport) -> tuple[Cloud, ...]:
    """A row for each provider, in the run's order; none for a run on a single one."""
    if len(story.providers) < 2:
        return ()
    return tuple(_cloud(name, story, report) for name in story.providers)


def _cloud(name: str, story: Story, report: RunReport) -> Cloud:
    lanes = [lane for lane in story.lanes if lane.provider == name]
    return Cloud(
        name=name,
        asked=story.desired // len(story.providers),
        nodes=len(lanes),
        passed=sum(lane.passed for lane in lanes),
        interrupted=sum(lane.fate == "interrupted" for lane in lanes),
        boot=_median(_boots(lanes)),
        whole=_median(lane.end - lane.start for lane in lanes if lane.passed),
        cost=report.costs.get(name, Cost()),
    )


def _boots(lanes: Sequence[Lane]) -> Iterable[float]:
    return (p.seconds for lane in lanes for p in lane.phases if p.name == "boot" and p.ok)


def _median(seconds: Iterable[float]) -> float | None:
    values = tuple(seconds)
    return statistics.median(values) if values else None
