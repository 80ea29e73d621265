"""Trouble with this computer, and with time, while real machines run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from signal import SIGINT

from spotdeploy.verdict import Verdict
from tests.cycles.project import COMMAND, Done
from tests.faults.case import REFUSED, Case, Family
from tests.faults.local import LocalArena, opened
from tests.faults.moments import (
    deploying,
)

INFRASTRUCTURE = Verdict.INFRASTRUCTURE_FAILED


def cases() -> Iterator[Case]:
    """Every case."""
    yield _case("the screen is a full disk", Verdict.PASSED, _full_screen)
    yield _case("the time to live of 20 s ends during the deploy", INFRASTRUCTURE, _expired)
    yield _case("a second cycle at the same time", REFUSED, _second)


def _case(fault: str, expect: Verdict | str, play: Callable[[LocalArena], Done], *,
          quick: bool = False) -> Case:  # fmt: skip
    return Case(Family.HOST, "local", fault, expect, opened, play, quick=quick, machines=True)


def _full_screen(arena: LocalArena) -> Done:
    return arena.project.run("cycle", command=("sh", "-c", 'exec "$@" > /dev/full', "sh", *COMMAND))


def _expired(arena: LocalArena) -> Done:
    arena.project.config["nodes"]["time_to_live"] = "20s"
    arena.entry("sleep 50")
    done = arena.project.cycle()
    assert "time to live" in done.out, done
    return done


def _second(arena: LocalArena) -> Done:
    arena.entry("sleep 60")
    with arena.project.started("cycle", "--events", "-") as running:
        deploying(arena, running)
        second = arena.project.run("cycle")
        os.kill(running.pid, SIGINT)
        running.end()
    assert f"(pid {running.pid} on " in second.err, second
    return second
