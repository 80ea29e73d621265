"""Runs the command line as its users do, but with less patience, or with trouble at a step of the
journal.

    python -c SCRIPT REPOSITORY HOW COMMAND...

`HOW` is a `How` in JSON. Patience is what the product waits for between two questions to a cloud,
for listings to catch up and for throttling to end: a test does not need the minutes of a real
cloud. Nothing else is changed, and the product has no hook for any of it.
"""

from __future__ import annotations

import os
import pkgutil
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from spotdeploy.state.journal import Journal

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from tests.faults.launcher import main
main()
"""
MEBIBYTE = 1 << 20


class Step(msgspec.Struct, frozen=True):
    """The `nth` call of a method of `Journal`: `before` is before anything of it is on disk,
    `after` when all of it is and nothing that follows was done."""

    method: str
    nth: int
    when: Literal["before", "after"]


class How(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to run a command."""

    constants: dict[str, float] = {}
    """`module:name` to another value, for what says how long something takes."""
    kill_at: Step | None = None
    """Kill the process there, as a power cut would."""
    fill_at: Step | None = None
    """Fill the disk there."""
    disk: str = ""
    """A file on that disk, which takes what room there is."""


def launcher(how: How) -> Sequence[str]:
    """What to run instead of `spotdeploy`."""
    return (sys.executable, "-c", SCRIPT, str(REPOSITORY), msgspec.json.encode(how).decode())


def main() -> None:
    """See the module."""
    how = msgspec.json.decode(sys.argv.pop(1), type=How)
    for path, value in how.constants.items():
        holder, _, name = path.replace(":", ".").rpartition(".")
        pkgutil.resolve_name(path)  # it raises when there is no such constant any more
        setattr(pkgutil.resolve_name(holder), name, value)
    if how.kill_at:
        _at(how.kill_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    if how.fill_at:
        _at(how.fill_at, lambda: fill(Path(how.disk)))
    runpy.run_module("spotdeploy", run_name="__main__", alter_sys=True)


def fill(ballast: Path) -> None:
    """Write to a file until its disk is full."""
    with ballast.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def _at(step: Step, deed: Any) -> None:
    real, calls = getattr(Journal, step.method), 0

    def troubled(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step.nth and step.when == "before":
            deed()
        outcome = real(*given, **named)
        if calls == step.nth and step.when == "after":
            deed()
        return outcome

    setattr(Journal, step.method, troubled)
