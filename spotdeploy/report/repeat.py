"""What many cycles of one thing say together: pass rates, percentiles, how steady it is."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec

from spotdeploy.cli.tables import table
from spotdeploy.duration import spell
from spotdeploy.report.model import RunReport


class Rate(msgspec.Struct, frozen=True):
    """How often something was good."""

    name: str
    good: int
    asked: int
    flake: float
    """0 when it always ends the same way, well or not; 1 when it is a coin toss."""


class Percentiles(msgspec.Struct, frozen=True):
    """Of some times, in seconds."""

    count: int
    p50: float
    p90: float
    longest: float


class Repetition(msgspec.Struct, frozen=True):
    """Many cycles as one."""

    runs: tuple[str, ...]
    cycles: Rate
    checks: tuple[Rate, ...]
    boot: Percentiles | None
    """Of every node that booted."""
    cycle: Percentiles | None


def summarize(reports: Sequence[RunReport]) -> Repetition:
    """The cycles together. A check's rate counts every node that was asked."""
    names = dict.fromkeys(name for report in reports for name in report.checks)
    answers = [check for report in reports for node in report.nodes for check in node.checks]
    boots = [node.seconds["boot"] for r in reports for node in r.nodes if "boot" in node.seconds]
    return Repetition(
        tuple(report.run for report in reports),
        rate("cycle", (report.verdict == "passed" for report in reports)),
        tuple(rate(name, (a.ok for a in answers if a.name == name)) for name in names),
        percentiles(boots), percentiles([report.seconds for report in reports]),
    )  # fmt: skip


def rate(name: str, results: Iterable[bool]) -> Rate:
    """The rate of good results. The flake score is 1 - |2p - 1|, p being the share of good ones."""
    results = tuple(results)
    good = sum(results)
    share = good / len(results) if results else 1.0
    return Rate(name, good, len(results), round(1 - abs(2 * share - 1), 3))


def percentiles(seconds: Sequence[float]) -> Percentiles | None:
    """None without times."""
    if not seconds:
        return None
    if len(seconds) == 1:
        return Percentiles(1, seconds[0], seconds[0], seconds[0])
    cuts = statistics.quantiles(seconds, n=10, method="inclusive")
    return Percentiles(
        len(seconds), *(round(value, 3) for value in (cuts[4], cuts[8], max(seconds)))
    )


def show_repetition(repetition: Repetition, stream: TextIO, *, as_json: bool) -> None:
    """Print the table to the stream, or JSON to standard output."""
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(repetition)).decode()
        sys.stdout.write(text + "\n")
        return
    rows = [("", "PASSED", "RATE", "FLAKE"), *map(_row, (repetition.cycles, *repetition.checks))]
    lines = ["", table(rows), ""]
    for name, times in (("boot", repetition.boot), ("cycle", repetition.cycle)):
        if times is not None:
            spelled = [spell(round(s, 1)) for s in (times.p50, times.p90, times.longest)]
            lines.append(f"{name}: half within {spelled[0]}, nine of ten within {spelled[1]}, "
                         f"all within {spelled[2]}")  # fmt: skip
    stream.write("\n".join(lines) + "\n")


def _row(one: Rate) -> tuple[str, ...]:
    share = f"{100 * one.good / one.asked:.0f}%" if one.asked else "-"
    return (one.name, f"{one.good}/{one.asked}", share, f"{one.flake:.2f}")
