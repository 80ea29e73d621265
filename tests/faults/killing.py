"""Runs the command line, and kills it with SIGKILL at a step of the journal.

    python killing.py METHOD NTH before|after COMMAND...

The step is the NTH call of that method of `Journal`: `before` is before anything of it is on disk,
`after` when all of it is and nothing that follows was done.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from spotdeploy.journal import Journal
from tests.cycles.project import Done
from tests.faults.arena import Arena

HERE = Path(__file__).resolve()


def killed_at(arena: Arena, method: str, nth: int, when: str, *arguments: str) -> Done:
    """Run a command of the arena's project and kill it there."""
    script = (sys.executable, "-c", _SCRIPT, str(HERE.parents[2]), method, str(nth), when)
    return arena.project.run(*arguments or ("cycle",), command=script)


_SCRIPT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from tests.faults.killing import main
main()
"""


def main() -> None:
    """See the module."""
    method, nth, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.argv[1:] = sys.argv[4:]
    real, calls = getattr(Journal, method), 0

    def deadly(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        outcome = real(*given, **named)
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    setattr(Journal, method, deadly)
    runpy.run_module("spotdeploy", run_name="__main__", alter_sys=True)
