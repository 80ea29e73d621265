"""Kills the command line with SIGKILL at a step of the journal."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from tests.cycles.project import Done
from tests.faults.launcher import Step, launcher
from tests.faults.testbed import Testbed

When = Literal["before", "after"]


def killed_at(testbed: Testbed, method: str, nth: int, when: When, *arguments: str) -> Done:
    """Run a command of the testbed's project, a cycle without `arguments`, and kill it at the `nth`
    call of that method of `Journal`; see `Step`."""
    how = replace(testbed.how, kill_at=Step(method, nth, when))
    return testbed.project.run(*arguments or ("cycle",), command=launcher(how))
