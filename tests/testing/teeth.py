"""Saying which test must catch a broken plugin, and finding out which tests do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import junitparser

T = TypeVar("T")
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Catch:
    """The tests that must fail on a broken class: these, or these among others."""

    tests: frozenset[str]
    among_others: bool

    def holds(self, failed: set[str]) -> bool:
        """True when the failures are as they must be."""
        return self.tests <= failed if self.among_others else self.tests == failed


def caught_by(*tests: str, among_others: bool = False) -> Callable[[T], T]:
    """The class breaks one promise: exactly these tests must fail on it.

    `among_others` is for a break that no other test can be blind to.
    """

    def mark(cls: T) -> T:
        cls.caught_by = Catch(frozenset(tests), among_others)  # type: ignore[attr-defined]  # read back by `broken_in`
        return cls

    return mark


def broken_in(module: object) -> dict[str, Catch]:
    """The broken classes of a module and what must catch each."""
    return {
        name: cls.__dict__["caught_by"]
        for name, cls in vars(module).items()
        if isinstance(cls, type) and "caught_by" in cls.__dict__
    }


def failures(folder: Path, code: str, *options: str) -> Mapping[str, set[str]]:
    """Run tests in a process of its own; for each test class the names of those that failed.

    Errors in fixtures are not counted: a broken plugin may be unable to clean up.
    """
    file = folder / "test_broken.py"
    file.write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short", f"--junitxml={folder}/out.xml"),
            *("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", *options, str(file)),
        ],
        cwd=folder,
        env={"PYTHONPATH": f"{REPOSITORY}:{folder}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    failed: dict[str, set[str]] = {}
    for suite in junitparser.JUnitXml.fromfile(f"{folder}/out.xml"):
        for case in suite:
            of_class = failed.setdefault(case.classname.rpartition(".")[2], set())
            if any(isinstance(result, junitparser.Failure) for result in case.result):
                of_class.add(case.name)
    return failed
