"""The fault campaign and its page, `docs/faults.md`.

`python -m tests.faults.campaign` plays every case and writes the page from what came of it. With
arguments for pytest, such as `-k "aws and kill"`, it plays some and writes nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import junitparser

from tests.faults.case import Family
from tests.faults.catalogue import CASES

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/faults.md"
WORKERS = 4
"""More than there are cores: most of a case is waiting."""
HEAD = """# What goes wrong, and what comes of it

Each line is a fault that was made to happen to a real command, against the fake cloud, against the
labs of the clouds, or on real machines of this computer. After it, the way is cleared (credentials
work again, the cloud recovers), `destroy` or `cycle` runs, and the cloud itself is asked what
exists. A case passes when

- the troubled command ended with the right verdict: a leak (4) outranks infrastructure that failed
  (3), which outranks the payload (1);
- a command that did not call it a leak had left nothing, before anything was cleared up;
- a leak was told with the command or place with which to finish by hand, a refusal with what to do;
- the command after it left nothing;
- nothing printed a traceback, and neither a secret of the payload nor the cloud's credentials are
  in any output, report, evidence or journal;
- every request was one that the cloud publishes, and what was none of ours was not touched.

The nodes of the fake cloud and of the labs without machines never answer, so there an undisturbed
cycle ends with an infrastructure that failed: that is the right verdict wherever the fault itself
was overcome. In the labs, what spotdeploy waits for between two questions, for listings to catch up
and for throttling to end is cut to seconds; nothing else of it is changed.

This page is written by `make faults` from a run. No case here has met a real cloud.
"""


@dataclass(frozen=True)
class Line:
    """A case as it was played."""

    family: str
    where: str
    fault: str
    ended: str
    after: str
    left: int
    trouble: str
    """What was wrong; empty when the case passed."""


def run(*arguments: str) -> list[Line]:
    """Action the cases, all of them or those that further arguments to pytest choose."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.xml")
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-m", "campaign or not campaign"),
                *("--numprocesses", str(WORKERS), "--dist", "loadgroup"),
                *(f"--junitxml={results}", "tests/faults/test_faults.py", *arguments),
            ],
            cwd=REPOSITORY,
            check=False,
        )
        return read(results)


def read(results: Path) -> list[Line]:
    """The cases of a JUnit file."""
    lines = []
    for suite in junitparser.JUnitXml.fromfile(str(results)):
        for case in suite:
            found = {e.get("name"): e.get("value") for e in case._elem.iter("property")}
            trouble = "; ".join(one.message or one.type for one in case.result)
            if found:
                lines.append(_line(found, trouble))
            elif trouble:
                lines.append(Line("", "", case.name, "not played", "", 0, trouble))
    return lines


def rows(page: str) -> list[tuple[str, ...]]:
    """The cells of each line of the page's tables, without the heads."""
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [tuple(row) for row in cells if row[0] not in ("where", "---")]


def render(lines: Sequence[Line]) -> str:
    """The page."""
    passed, left = sum(not line.trouble for line in lines), sum(line.left for line in lines)
    total = f"**{len(lines)} cases, {passed} passed, {left} things leaked.**"
    order = {(case.where, case.fault): number for number, case in enumerate(CASES)}
    lines = sorted(lines, key=lambda line: order.get((line.where, line.fault), -1))
    tables = [text for family in Family for text in _table(family, lines)]
    return "\n".join([HEAD.rstrip(), "", total, *tables]) + "\n"


def _line(found: dict[str, str], trouble: str) -> Line:
    return Line(
        found["family"],
        found["where"],
        found["fault"],
        found["ended"],
        found["after"],
        int(found["left"]),
        trouble,
    )


def _table(family: Family, lines: Sequence[Line]) -> Iterator[str]:
    mine = [line for line in lines if line.family == family]
    if not mine:
        return
    yield from ("", f"## {family}", "")
    yield "| where | fault | the command ended | the one after it | left |"
    yield "| --- | --- | --- | --- | --- |"
    for line in mine:
        ended = f"{line.ended} **(failed)**" if line.trouble else line.ended
        yield f"| {line.where} | {line.fault} | {ended} | {line.after} | {line.left} |"


def main() -> int:
    """Action, write, and give 1 when a case did not pass."""
    some = sys.argv[1:]
    lines = run(*some)
    if not some:
        PAGE.write_text(render(lines), "utf-8")
        sys.stdout.write(f"wrote {PAGE.relative_to(REPOSITORY)}\n")
    bad = [line for line in lines if line.trouble]
    for line in bad:
        sys.stdout.write(f"failed: {line.where}: {line.fault}: {line.trouble[:300]}\n")
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
