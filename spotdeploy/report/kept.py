"""What nodes cost after the run that made and kept them had ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spotdeploy import labels
from spotdeploy.model import Node
from spotdeploy.report.model import RunReport
from spotdeploy.run.cost import Cost, PaidTime, total
from spotdeploy.state.journal import JournalNode


@dataclass(frozen=True, slots=True)
class Kept:
    """The nodes that a run made and left."""

    cost: Cost
    """From the end of the run until they were seen gone, their time to live ended, or now."""
    standing: int
    """How many of them may still run."""


def kept_of(reports: Iterable[RunReport], known: Iterable[JournalNode], now: float) -> Kept:
    """What became of the nodes that some runs left. `known` is what the journal has of them; `now`
    is in Unix seconds."""
    gone = {(one.provider, one.location, one.id): one.gone_at for one in known}
    spans: list[PaidTime] = []
    standing = 0
    for report in reports:
        rates = {node.id: node.usd_per_hour for node in report.nodes}
        for node in report.kept:
            if node.labels.get(labels.RUN) == report.run:
                until = _end(node, gone)
                standing += until is None or until > now
                seconds = max(0.0, min(now if until is None else until, now) - report.ended_at)
                rate = rates.get(node.id, node.usd_per_hour)
                spans.append(PaidTime(node.provider, seconds, rate))
    return Kept(total(spans), standing)


def _end(node: Node, gone: Mapping[tuple[str, str, str], float | None]) -> float | None:
    """When the node ended, or will end itself at the latest; None where nothing says it."""
    seen = gone.get((node.provider, node.location, node.id))
    ends = [at for at in (seen, labels.expires_at(node.labels)) if at is not None]
    return min(ends, default=None)
