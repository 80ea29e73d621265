"""Providers side by side: what each gave, how fast, and for how much."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spotdeploy.report.model import NodeReport, RunReport
from spotdeploy.run.cost import Cost


@dataclass(frozen=True, slots=True)
class Cloud:
    """One provider in one run. Times are medians in seconds; None when no node came so far."""

    name: str
    asked: int | None
    """None where the providers shared what was asked for."""
    nodes: int
    passed: int
    interrupted: int
    boot: float | None
    whole: float | None
    """From its creation to its verdict, of nodes that passed."""
    cost: Cost

    @property
    def ok(self) -> bool:
        """Whether as many passed as were asked for, or all that were made and not taken back."""
        due = self.nodes - self.interrupted if self.asked is None else self.asked
        return self.passed >= due


def clouds(report: RunReport) -> tuple[Cloud, ...]:
    """A row for each provider, in the run's order; none for a run on a single one."""
    if len(report.providers) < 2:
        return ()
    return tuple(_cloud(name, report) for name in report.providers)


def _cloud(name: str, report: RunReport) -> Cloud:
    nodes = [node for node in report.nodes if node.provider == name]
    return Cloud(
        name=name,
        asked=None if report.shared else report.desired // len(report.providers),
        nodes=len(nodes),
        passed=sum(node.passed for node in nodes),
        interrupted=sum(node.interrupted for node in nodes),
        boot=_median(_boots(nodes)),
        whole=_median(node.end - node.start for node in nodes if node.passed),
        cost=report.costs.get(name, Cost()),
    )


def _boots(nodes: Sequence[NodeReport]) -> Iterable[float]:
    return (p.seconds for node in nodes for p in node.phases if p.name == "boot" and p.ok)


def _median(seconds: Iterable[float]) -> float | None:
    values = tuple(seconds)
    return statistics.median(values) if values else None
