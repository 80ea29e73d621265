"""Faults of the fake cloud, scripted in its state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault
from spotdeploy.verdict import Verdict
from tests.cycles.project import Done
from tests.faults.arena import FakeArena
from tests.faults.case import Case, Family
from tests.faults.killing import killed_at

INFRASTRUCTURE, LEAKED = Verdict.INFRASTRUCTURE_FAILED, Verdict.LEAKED
STEPS = {
    "begin_run": 1, "seen": 6, "close_intents": 2, "intend": 1, "settle": 1, "gone": 2,
    "end_run": 1,
}  # fmt: skip
"""Method of the journal to how often a cycle of two nodes calls it."""


def opened(folder: Path, request: pytest.FixtureRequest) -> FakeArena:
    """An arena for one case."""
    return FakeArena(folder)


def _kill(method: str, nth: int, when: str) -> Case:
    def play(arena: FakeArena) -> Done:
        return killed_at(arena, method, nth, when)

    return Case(
        Family.KILLED, "fake", f"kill -9 {when} step {method} no. {nth}", None, opened, play,
        quick=(method, nth, when) in (("intend", 1, "after"), ("settle", 1, "before")),
        then="cycle" if nth % 2 else "destroy",
    )  # fmt: skip


def _scripted(
    family: Family, fault: str, expect: Verdict, *script: AnyFault, quick: bool = False,
    **table: object,
) -> Case:  # fmt: skip
    def play(arena: FakeArena) -> Done:
        arena.table |= table
        arena.cloud.script(*script)
        return arena.project.cycle()

    return Case(family, "fake", fault, expect, opened, play, quick=quick, machines=True)


def cases() -> Iterator[Case]:
    """Every case."""
    for method, times in STEPS.items():
        for nth in range(1, times + 1):
            yield from (_kill(method, nth, when) for when in ("before", "after"))
    yield _scripted(
        Family.REPLIES, "the answer to create is lost", INFRASTRUCTURE, faults.LostReply(),
        quick=True,
    )  # fmt: skip
    yield _scripted(Family.GOING, "a machine never goes", LEAKED, faults.Stuck(), quick=True)
