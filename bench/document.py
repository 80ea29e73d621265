"""docs/benchmarks.md, written from the results of runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rows import Row

HEAD = """# Benchmarks

Written by `make bench` from its own runs: change `bench/notes.toml` for the words, and run it again
for the numbers. Values are medians; the spread is the least and the most of the rounds.
"""
UNWRITTEN = "Not looked into yet."


@dataclass(frozen=True)
class Result:
    """What came of one part."""

    title: str
    rows: tuple[Row, ...]
    rounds: int
    seconds: float
    at: str
    """The day and time of its end."""
    error: str = ""
    """Why it has no rows."""


def to_data(result: Result) -> dict[str, Any]:
    """What JSON takes."""
    return asdict(result)


def from_data(data: Mapping[str, Any]) -> Result:
    """Undo `to_data`."""
    return Result(**{**data, "rows": tuple(Row(**row) for row in data["rows"])})


def write(
    results: Mapping[str, Result], notes: Mapping[str, Any], versions: Mapping[str, str]
) -> str:
    """The page. `results` and `notes` are by part, `versions` by package."""
    parts = [HEAD, machine(), peers(versions), goals(results.values())]
    for name, result in results.items():
        parts.append(section(result, notes.get(name, {})))
    if limits := notes.get("limits"):
        parts.append(f"## Where one machine ends\n\n{limits['about'].strip()}\n")
    return "\n".join(parts)


def machine() -> str:
    """What it ran on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts = [
        ("processors", str(os.cpu_count())),
        ("memory", f"{pages / 2**30:.0f} GiB"),
        ("kernel", platform.release()),
        ("Python", platform.python_version()),
    ]
    return "## The machine\n\n" + table(("", ""), facts)


def peers(versions: Mapping[str, str]) -> str:
    """The other tools."""
    return "## The other tools\n\n" + table(("package", "version"), list(versions.items()))


def goals(results: Iterable[Result]) -> str:
    """Every goal in one table."""
    lines = [
        (result.title, row.what, value(row), row.goal, verdict(row))
        for result in results
        for row in result.rows
        if row.met is not None
    ]
    met = sum(line[-1] == "met" for line in lines)
    words = f"{met} of {len(lines)} are met; the reason of each miss stands in its part."
    return f"## Goals\n\n{words}\n\n" + table(("part", "what", "measured", "goal", ""), lines)


def section(result: Result, notes: Mapping[str, Any]) -> str:
    """One part: its words, its table, and why goals were missed."""
    text = [f"## {result.title}\n"]
    if about := notes.get("about", "").strip():
        text.append(f"{about}\n")
    if result.error:
        return "\n".join([*text, f"**It failed** ({result.at}):\n", f"```\n{result.error}\n```\n"])
    rounds = f"{result.rounds} round{'' if result.rounds == 1 else 's'}"
    text.append(f"{rounds} in {result.seconds / 60:.1f} minutes, ended {result.at}.\n")
    lines = [(row.what, value(row), row.spread, row.goal, verdict(row)) for row in result.rows]
    text.append(table(("what", "median", "spread", "goal", ""), lines))
    text += [
        f"**Missed: {row.what}.** {reason(row, notes)}\n" for row in result.rows if row.met is False
    ]
    return "\n".join(text)


def reason(row: Row, notes: Mapping[str, Any]) -> str:
    """Why a goal was missed: the first of the part's words whose name is in the row's."""
    for name, words in notes.get("missed", {}).items():
        if name in row.what:
            return str(words).strip()
    return UNWRITTEN


def value(row: Row) -> str:
    """A value with three digits or more, and its unit."""
    digits = 0 if row.value >= 100 or row.value == int(row.value) else 2
    return f"{row.value:,.{digits}f} {row.unit}"


def verdict(row: Row) -> str:
    """met, **missed** or nothing."""
    return {True: "met", False: "**missed**", None: ""}[row.met]


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in [head, *lines]]
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in [safe[0], rule, *safe[1:]])
