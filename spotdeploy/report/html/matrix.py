"""Checks by nodes: totals for each provider, and below them the nodes that are alike, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.report.html.timeline import tone
from spotdeploy.report.story import Lane, Story

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

    lanes: tuple[Lane, ...]
    verdict: str
    tone: str
    cells: tuple[str, ...]
    """For each check: GOOD, BAD, OPEN (never settled) or UNASKED."""

    @property
    def differs(self) -> bool:
        """True when it is to be looked at: it did not pass."""
        return self.verdict != "passed"


@dataclass(frozen=True, slots=True)
class Block:
    """One provider."""

    provider: str
    passed: int
    nodes: int
    totals: tuple[Total, ...]
    groups: tuple[Group, ...]


def matrix(story: Story) -> tuple[Block, ...]:
    """A block for each provider, in the order in which the run names them."""
    providers = dict.fromkeys((*story.providers, *(lane.provider for lane in story.lanes)))
    blocks = (_block(story, provider) for provider in providers)
    return tuple(block for block in blocks if block.nodes)


def _block(story: Story, provider: str) -> Block:
    lanes = [lane for lane in story.lanes if lane.provider == provider]
    rows = [_cells(lane, story.checks) for lane in lanes]
    totals = (_total([row[index] for row in rows]) for index in range(len(story.checks)))
    return Block(
        provider,
        sum(lane.passed for lane in lanes),
        len(lanes),
        tuple(totals),
        tuple(_groups(lanes, rows)),
    )


def _groups(lanes: Sequence[Lane], rows: Sequence[tuple[str, ...]]) -> Iterable[Group]:
    alike: dict[tuple[str, tuple[str, ...], int], list[Lane]] = {}
    each = len(lanes) <= EACH
    for index, (lane, row) in enumerate(zip(lanes, rows, strict=True)):
        alike.setdefault((lane.verdict, row, index if each else 0), []).append(lane)
    groups = [
        Group(tuple(mine), verdict or "unfinished", tone(mine[0]), row)
        for (verdict, row, _), mine in alike.items()
    ]
    return groups if each else sorted(groups, key=lambda g: (not g.differs, -len(g.lanes)))


def _cells(lane: Lane, checks: Sequence[str]) -> tuple[str, ...]:
    answers = {answer.name: answer for answer in lane.checks}
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
