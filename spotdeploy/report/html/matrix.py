"""Checks by nodes: totals for each provider, and below them the nodes that are alike, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.model import Verdict
from spotdeploy.report.html.timeline import tone
from spotdeploy.report.model import NodeReport, RunReport

EACH: Final = 8
"""Up to so many nodes of a provider, each has a row of its own."""
GOOD, BAD, OPEN, UNASKED = "good", "bad", "open", "unasked"


@dataclass(frozen=True, slots=True)
class Total:
    """A check on all nodes of a provider."""

    good: int
    asked: int

    @property
    def tone(self) -> str:
        """Its style class."""
        if not self.asked:
            return UNASKED
        return GOOD if self.good == self.asked else BAD


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes of one provider whose every answer is the same."""

    nodes: tuple[NodeReport, ...]
    verdict: Verdict
    tone: str
    cells: tuple[str, ...]
    """For each check: GOOD, BAD, OPEN (never settled) or UNASKED."""

    @property
    def differs(self) -> bool:
        """True when it is to be looked at: it did not pass."""
        return self.verdict is not Verdict.PASSED


@dataclass(frozen=True, slots=True)
class Block:
    """One provider."""

    provider: str
    passed: int
    nodes: int
    totals: tuple[Total, ...]
    groups: tuple[Group, ...]


def matrix(report: RunReport) -> tuple[Block, ...]:
    """A block for each provider, in the order in which the run names them."""
    providers = dict.fromkeys((*report.providers, *(node.provider for node in report.nodes)))
    blocks = (_block(report, provider) for provider in providers)
    return tuple(block for block in blocks if block.nodes)


def _block(report: RunReport, provider: str) -> Block:
    nodes = [node for node in report.nodes if node.provider == provider]
    rows = [_cells(node, report.checks) for node in nodes]
    totals = (_total([row[index] for row in rows]) for index in range(len(report.checks)))
    return Block(
        provider,
        sum(node.passed for node in nodes),
        len(nodes),
        tuple(totals),
        tuple(_groups(nodes, rows)),
    )


def _groups(nodes: Sequence[NodeReport], rows: Sequence[tuple[str, ...]]) -> Iterable[Group]:
    alike: dict[tuple[Verdict | None, tuple[str, ...], int], list[NodeReport]] = {}
    each = len(nodes) <= EACH
    for index, (node, row) in enumerate(zip(nodes, rows, strict=True)):
        alike.setdefault((node.verdict, row, index if each else 0), []).append(node)
    groups = [
        Group(tuple(mine), verdict or Verdict.UNFINISHED, tone(mine[0]), row)
        for (verdict, row, _), mine in alike.items()
    ]
    return groups if each else sorted(groups, key=lambda g: (not g.differs, -len(g.nodes)))


def _cells(node: NodeReport, checks: Sequence[str]) -> tuple[str, ...]:
    answers = {answer.name: answer for answer in node.checks}
    return tuple(
        UNASKED
        if (answer := answers.get(name)) is None
        else OPEN
        if not answer.settled
        else GOOD
        if answer.ok
        else BAD
        for name in checks
    )


def _total(column: Sequence[str]) -> Total:
    return Total(column.count(GOOD), len(column) - column.count(UNASKED))
