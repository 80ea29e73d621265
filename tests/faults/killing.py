"""Kills the command line with SIGKILL at a step of the journal."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from tests.cycles.project import Done
from tests.faults.launcher import Step, launcher
from tests.faults.testbed import Arena

When = Literal["before", "after"]


def killed_at(arena: Arena, method: str, nth: int, when: When, *arguments: str) -> Done:
    """Run a command of the arena's project, a cycle without `arguments`, and kill it at the `nth`
    call of that method of `Journal`; see `Step`."""
    how = replace(arena.how, kill_at=Step(method, nth, when))
    return arena.project.run(*arguments or ("cycle",), command=launcher(how))
