"""What must hold after every fault, whatever it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.model import Verdict
from tests.cycles.project import Done
from tests.faults.case import REFUSED, Case
from tests.faults.testbed import Testbed

KILLED = "killed"
_NO_CODE = (Verdict.REFUSED, Verdict.UNFINISHED)
_ENDS = {
    **{one.exit_code: one.value for one in Verdict if one not in _NO_CODE},
    -9: KILLED,
    2: REFUSED,
}


@dataclass(frozen=True)
class Result:
    """How a case went."""

    ended: str
    """The troubled command's verdict, or how else it ended."""
    after: str
    """The verdict of the command that cleared up."""
    left: int
    """What the cloud had when that was over."""
    problems: tuple[str, ...]
    """Everything that must not be; empty when the case passed."""


def run_case(case: Case, testbed: Testbed) -> Result:
    """Action a case and look at what came of it."""
    testbed.project.write()
    troubled = case.action(testbed)
    first = [
        *_wrong_end(case, troubled),
        *_untold(case, testbed, troubled),
        *_helpless(troubled),
        *(case.also(testbed, troubled) if case.also else ()),
    ]
    testbed.heal()
    after = testbed.project.run(case.then)
    left = testbed.remains()
    wanted = testbed.healthy if case.then == "cycle" else Verdict.PASSED
    problems = [
        *first,
        *([] if after.code == wanted.exit_code else [f"{case.then} then ended with {after}"]),
        *(f"{what} is left" for what in left),
        *_traces(troubled, after),
        *_betrayed(testbed, troubled, after),
        *testbed.wrong,
    ]
    return Result(_end(troubled), _end(after), len(left), tuple(problems))


def _end(done: Done) -> str:
    return _ENDS.get(done.code, f"exit code {done.code}")


def _wrong_end(case: Case, done: Done) -> Iterator[str]:
    expected = case.expect if isinstance(case.expect, frozenset) else {case.expect or KILLED}
    if _end(done) not in expected:
        yield f"it ended as {_end(done)!r} instead of {' or '.join(sorted(expected))!r}: {done}"


def _untold(case: Case, testbed: Testbed, done: Done) -> Iterator[str]:
    """A command that did not call it a leak must have left nothing. None of these keeps nodes."""
    if not case.leaves and _end(done) not in (KILLED, Verdict.LEAKED):
        for what in testbed.remains():
            yield f"{what} was left, and the command did not say so"


def _helpless(done: Done) -> Iterator[str]:
    """A leak is told with what to do about it, and so is a refusal."""
    if _end(done) == Verdict.LEAKED and "by hand: " not in done.out:
        yield f"a leak without a word on how to end it by hand: {done}"
    if _end(done) == REFUSED and not ("error: " in done.err and "try: " in done.err):
        yield f"a refusal without a word on what to do: {done}"


def _traces(*dones: Done) -> Iterator[str]:
    for done in dones:
        if "Traceback" in done.out + done.err:
            yield f"a traceback: {done}"


def _betrayed(testbed: Testbed, *dones: Done) -> Iterator[str]:
    """Secrets in what was printed, and in every file that runs leave."""
    said = [(f"output of code {done.code}", (done.out + done.err).encode()) for done in dones]
    for secret in testbed.secrets:
        for where, text in [*said, *_kept(testbed.project.folder / ".spotdeploy")]:
            if secret.encode() in text:
                yield f"a secret is in {where}"


def _kept(state: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted((state / "runs").rglob("*")):
        if file.is_file():
            yield file.name, file.read_bytes()
    journal = state / "journal.db"
    if journal.exists():
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
            yield "the journal", "\n".join(db.iterdump()).encode()
