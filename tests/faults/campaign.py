"""The fault campaign and its page, `docs/faults.md`.

`python -m tests.faults.campaign` plays every case and writes the page from what came of it. With
arguments for pytest, such as `-k "aws and kill"`, it plays some and writes nothing, or after
`--write` a page that says how many were not played.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import junitparser

from tests.faults.case import Family
from tests.faults.catalogue import CASES, REFUSALS, ROWS

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/faults.md"
TESTS = ("tests/faults/test_faults.py", "tests/faults/test_refusals.py")
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

Refusals are played in one process, by the phases themselves: nodes are asked for, taken as good and
destroyed. There a case passes when what is asked next is exactly what the refusal does not cover,
the cloud's own words and what to do about them are told, and the verdict counts what was made.

Cases that differ in one number or code share a line: seeds, and the codes of a cloud's table.

This page is written by `make faults` from a run. No case here has met a real cloud.
"""


@dataclass(frozen=True)
class Line:
    """A case as it was played."""

    family: str
    where: str
    fault: str
    case: str
    """Its name, with which pytest's -k finds it."""
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
                *("--numprocesses", str(WORKERS), "--dist", "worksteal"),
                *(f"--junitxml={results}", *TESTS, *arguments),
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
                lines.append(Line("", "", "", case.name, "not played", "", 0, trouble))
    return lines


def rows(page: str) -> list[tuple[str, ...]]:
    """The cells of each line of the page's tables, without the heads."""
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [tuple(row) for row in cells if row[0] not in ("where", "---")]


def render(lines: Sequence[Line]) -> str:
    """The page."""
    passed, left = sum(not line.trouble for line in lines), sum(line.left for line in lines)
    total = f"**{len(lines)} cases, {passed} passed, {left} things leaked.**"
    if unplayed := len(CASES) + len(REFUSALS) - len(lines):
        total += f" {unplayed} more were not played in this run."
    order = {row: number for number, row in enumerate(ROWS)}
    lines = sorted(merge(lines), key=lambda line: order.get((line.where, line.fault), -1))
    tables = [text for family in Family for text in _table(family, lines)]
    return "\n".join([HEAD.rstrip(), "", total, *tables]) + "\n"


def merge(lines: Sequence[Line]) -> list[Line]:
    """One line for each of the page: how each way to end came out, the most frequent first."""
    shared: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        shared.setdefault((line.family, line.where, line.fault), []).append(line)
    return [_merged(alike) for alike in shared.values()]


def _merged(lines: Sequence[Line]) -> Line:
    return replace(
        lines[0],
        ended=_counts([line.ended for line in lines]),
        after=_counts([line.after for line in lines]),
        left=sum(line.left for line in lines),
        trouble="; ".join(f"{line.case}: {line.trouble}" for line in lines if line.trouble),
    )


def _counts(words: Sequence[str]) -> str:
    counts = Counter(words).most_common()
    return words[0] if len(words) == 1 else ", ".join(f"{word} ({many})" for word, many in counts)


def _line(found: dict[str, str], trouble: str) -> Line:
    return Line(
        found["family"],
        found["where"],
        found["fault"],
        found["case"],
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


def _words(case: str) -> str:
    """An expression for pytest's -k that finds a case by the words of its name."""
    words = dict.fromkeys(re.findall(r"\w+", case))
    return " and ".join(word for word in words if word not in ("and", "or", "not"))


def main() -> int:
    """Action, write, and give 1 when a case did not pass."""
    some = [word for word in sys.argv[1:] if word != "--write"]
    lines = run(*some)
    if not some or "--write" in sys.argv:
        PAGE.write_text(render(lines), "utf-8")
        sys.stdout.write(f"wrote {PAGE.relative_to(REPOSITORY)}\n")
    bad = [line for line in lines if line.trouble]
    for line in bad:
        sys.stdout.write(f"failed: {line.case}: {line.trouble[:300]}\n")
        sys.stdout.write(
            f'play it again: python -m tests.faults.campaign -k "{_words(line.case)}"\n'
        )
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
