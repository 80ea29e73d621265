"""Checks by nodes, for each group: totals for each provider, and below them the nodes that are
alike, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.report.html.timeline import tone
from spotdeploy.report.model import GroupReport, NodeReport, RunReport

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
class Alike:
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
    rows: tuple[Alike, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One group, with its own checks; all nodes of a run whose config names no groups."""

    group: GroupReport
    checks: tuple[str, ...]
    blocks: tuple[Block, ...]
    """Of each provider."""

    @property
    def passed(self) -> int:
        """How many nodes passed."""
        return sum(block.passed for block in self.blocks)

    @property
    def nodes(self) -> int:
        """How many there are."""
        return sum(block.nodes for block in self.blocks)

    @property
    def folded(self) -> bool:
        """True when nobody needs to look at it: many nodes, and all of them passed."""
        return self.nodes > EACH and self.passed == self.nodes


def matrix(report: RunReport) -> tuple[Section, ...]:
    """The groups that have nodes, and their providers in the order in which the run names them."""
    groups = report.groups or (GroupReport(name=DEFAULT_GROUP, checks=report.checks),)
    sections = (_section(report, group) for group in groups)
    return tuple(section for section in sections if section.blocks)


def _section(report: RunReport, group: GroupReport) -> Section:
    nodes = report.nodes_of(group.name)
    providers = dict.fromkeys((*report.providers, *(node.provider for node in nodes)))
    blocks = (_block(group, nodes, provider) for provider in providers)
    return Section(group, group.checks, tuple(block for block in blocks if block.nodes))


def _block(group: GroupReport, of_group: Sequence[NodeReport], provider: str) -> Block:
    nodes = [node for node in of_group if node.provider == provider]
    rows = [_cells(node, group.checks) for node in nodes]
    totals = (_total([row[index] for row in rows]) for index in range(len(group.checks)))
    return Block(
        provider,
        sum(node.passed for node in nodes),
        len(nodes),
        tuple(totals),
        tuple(_alike(nodes, rows)),
    )


def _alike(nodes: Sequence[NodeReport], rows: Sequence[tuple[str, ...]]) -> Iterable[Alike]:
    alike: dict[tuple[Verdict | None, tuple[str, ...], int], list[NodeReport]] = {}
    each = len(nodes) <= EACH
    for index, (node, row) in enumerate(zip(nodes, rows, strict=True)):
        alike.setdefault((node.verdict, row, index if each else 0), []).append(node)
    kinds = [
        Alike(tuple(mine), verdict or Verdict.UNFINISHED, tone(mine[0]), row)
        for (verdict, row, _), mine in alike.items()
    ]
    return kinds if each else sorted(kinds, key=lambda kind: (not kind.differs, -len(kind.nodes)))


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
