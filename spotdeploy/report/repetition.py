"""Many cycles as one: what passed how often, how the rest failed, and how long each phase took."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from spotdeploy.model import Verdict
from spotdeploy.report.model import CheckReport, NodeReport, RunReport

CYCLE: Final = "cycle"
NODES: Final = "nodes"


class Failure(msgspec.Struct, frozen=True):
    """One way in which something failed."""

    message: str
    count: int
    where: tuple[str, ...]
    """Each time the run, and of a node its name."""


class Rate(msgspec.Struct, frozen=True):
    """How often something was good."""

    name: str
    good: int
    asked: int
    flake: float
    """0 when it always ends the same way, well or not; 1 when it is a coin toss."""
    failures: tuple[Failure, ...] = ()
    """How it failed, what happened most often first."""


class Percentiles(msgspec.Struct, frozen=True):
    """Of some times, in seconds."""

    count: int
    p50: float
    p90: float
    longest: float


class Times(msgspec.Struct, frozen=True):
    """How long a phase took where it went well, in seconds."""

    name: str
    count: int
    shortest: float
    median: float
    longest: float


class Repetition(msgspec.Struct, frozen=True):
    """Many cycles as one."""

    runs: tuple[str, ...]
    cycles: Rate
    checks: tuple[Rate, ...]
    boot: Percentiles | None
    """Of every node that booted."""
    cycle: Percentiles | None
    nodes: tuple[Rate, ...] = ()
    """Of each group."""
    phases: tuple[Times, ...] = ()
    """Of each group; the last one is the whole cycle."""


class _Answer(msgspec.Struct, frozen=True):
    """One answer that a rate counts."""

    name: str
    ok: bool
    message: str
    where: str


def summarize(reports: Sequence[RunReport]) -> Repetition:
    """The cycles together. A check's rate counts every node of its group that was asked."""
    several = len({report.deployment for report in reports}) > 1
    cells = [(f"{one.deployment}: " if several else "", one) for one in reports]
    boots = [node.seconds["boot"] for r in reports for node in r.nodes if "boot" in node.seconds]
    (cycles,) = _rates([_of_cycle(report) for report in reports]) or (rate(CYCLE, ()),)
    names = [name for cell, report in cells for name in _check_names(report, cell)]
    return Repetition(
        tuple(report.run for report in reports),
        cycles,
        _rates([one for cell, report in cells for one in _of_checks(report, cell)], names),
        percentiles(boots),
        percentiles([report.seconds for report in reports]),
        _rates([one for cell, report in cells for one in _of_nodes(report, cell)]),
        tuple(_times(cells)),
    )


def _of_cycle(report: RunReport) -> _Answer:
    passed = report.verdict is Verdict.PASSED
    return _Answer(CYCLE, passed, f"{report.verdict}: {report.message}", report.run)


def _of_nodes(report: RunReport, cell: str) -> Iterator[_Answer]:
    for node in report.nodes:
        message = f"{node.verdict or 'unfinished'} in {node.phase}: {node.message}"
        name = f"{cell}{named(report, node, NODES)}"
        yield _Answer(name, node.passed, message, f"{report.run} {node.name}")


def _of_checks(report: RunReport, cell: str) -> Iterator[_Answer]:
    for node in report.nodes:
        for check in node.checks:
            name = f"{cell}{named(report, node, check.name)}"
            yield _Answer(name, check.ok, _why(check), f"{report.run} {node.name}")


def _why(check: CheckReport) -> str:
    return check.detail if check.settled else f"never settled: {check.detail}"


def _check_names(report: RunReport, cell: str) -> Iterable[str]:
    """The names of all checks, in the order of the config, those that were never asked too."""
    if len(report.providers) > 1:
        return [one.name for one in _of_checks(report, cell)]
    if not report.grouped:
        return [f"{cell}{name}" for name in report.checks]
    groups = report.groups
    return [f"{cell}{group.name}: {name}" for group in groups for name in group.checks]


def named(report: RunReport, node: NodeReport, what: str) -> str:
    """What belongs to a node, with its group before it where the config names groups, and its
    provider where there are several."""
    group = f"{node.group}: " if report.grouped else ""
    provider = f" on {node.provider}" if len(report.providers) > 1 else ""
    return f"{group}{what}{provider}"


def _rates(answers: Sequence[_Answer], names: Iterable[str] = ()) -> tuple[Rate, ...]:
    """The rate of each name, those of `names` first."""
    by_name: dict[str, list[_Answer]] = {name: [] for name in names}
    for answer in answers:
        by_name.setdefault(answer.name, []).append(answer)
    return tuple(
        rate(name, [one.ok for one in mine], _failures(mine)) for name, mine in by_name.items()
    )


def _failures(answers: Iterable[_Answer]) -> tuple[Failure, ...]:
    where: dict[str, list[str]] = {}
    for answer in answers:
        if not answer.ok:
            where.setdefault(answer.message, []).append(answer.where)
    found = [Failure(message, len(places), tuple(places)) for message, places in where.items()]
    return tuple(sorted(found, key=lambda failure: -failure.count))


def _times(cells: Sequence[tuple[str, RunReport]]) -> Iterator[Times]:
    seconds: dict[str, list[float]] = {}
    for cell, report in cells:
        for node in report.nodes:
            for phase in node.phases:
                if phase.ok:
                    name = f"{cell}{named(report, node, phase.name)}"
                    seconds.setdefault(name, []).append(phase.seconds)
    seconds[CYCLE] = [report.seconds for _, report in cells]
    for name, values in seconds.items():
        if values:
            shown = (min(values), statistics.median(values), max(values))
            yield Times(name, len(values), *(round(value, 3) for value in shown))


def rate(name: str, results: Iterable[bool], failures: tuple[Failure, ...] = ()) -> Rate:
    """The rate of good results. The flake score is 1 - |2p - 1|, p being the share of good ones."""
    results = tuple(results)
    good = sum(results)
    share = good / len(results) if results else 1.0
    return Rate(name, good, len(results), round(1 - abs(2 * share - 1), 3), failures)


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
