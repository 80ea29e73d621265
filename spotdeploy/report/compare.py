"""What changed between two runs: verdicts, checks for each provider, and phases that got slower."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.report.model import RunReport

SHARE: Final = 0.2
SECONDS: Final = 0.5
"""A phase changed when its median differs by more than this share and by more seconds."""


class CheckChange(msgspec.Struct, frozen=True):
    """A check whose answers changed on a provider. None: it was not asked in that run."""

    provider: str
    check: str
    before: tuple[int, int] | None
    """How many nodes it was good on, of how many it was asked."""
    after: tuple[int, int] | None
    group: str = DEFAULT_GROUP


class PhaseChange(msgspec.Struct, frozen=True):
    """A phase whose median time changed on a provider. In seconds."""

    provider: str
    phase: str
    before: float
    after: float
    group: str = DEFAULT_GROUP

    @property
    def slower(self) -> bool:
        """True when it takes longer now."""
        return self.after > self.before


class GroupChange(msgspec.Struct, frozen=True):
    """A group that ended in another way. None: it had no verdict in that run, for example
    since it was not deployed."""

    group: str
    before: Verdict | None
    after: Verdict | None


class Difference(msgspec.Struct, frozen=True):
    """From one run to another."""

    before: str
    after: str
    verdicts: tuple[str, str]
    same_payload: bool
    checks: tuple[CheckChange, ...]
    phases: tuple[PhaseChange, ...]
    groups: tuple[GroupChange, ...] = ()


def compare(before: RunReport, after: RunReport) -> Difference:
    """The difference between two runs of any age and deployment."""
    return Difference(
        before.run,
        after.run,
        (before.verdict, after.verdict),
        before.digest == after.digest,
        tuple(_check_changes(before, after)),
        tuple(_phase_changes(before, after)),
        tuple(_group_changes(before, after)) if before.grouped or after.grouped else (),
    )


def _group_changes(before: RunReport, after: RunReport) -> Iterable[GroupChange]:
    old = {group.name: group.verdict for group in before.groups}
    new = {group.name: group.verdict for group in after.groups}
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield GroupChange(name, old.get(name), new.get(name))


def _check_changes(before: RunReport, after: RunReport) -> Iterable[CheckChange]:
    old, new = _checks(before), _checks(after)
    for key in dict.fromkeys((*old, *new)):
        then, now = old.get(key), new.get(key)
        if _share(then) != _share(now):
            group, provider, check = key
            yield CheckChange(provider, check, then, now, group)


def _checks(report: RunReport) -> dict[tuple[str, str, str], tuple[int, int]]:
    """For each group, provider and check."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for node in report.nodes:
        for check in node.checks:
            key = node.group, node.provider, check.name
            good, asked = found.get(key, (0, 0))
            found[key] = (good + check.ok, asked + 1)
    return found


def _share(counts: tuple[int, int] | None) -> float | None:
    return None if counts is None else counts[0] / counts[1]


def _phase_changes(before: RunReport, after: RunReport) -> Iterable[PhaseChange]:
    old, new = _medians(before), _medians(after)
    for key in (key for key in old if key in new):
        change = abs(new[key] - old[key])
        if change > SECONDS and change > SHARE * old[key]:
            group, provider, phase = key
            yield PhaseChange(provider, phase, round(old[key], 3), round(new[key], 3), group)


def _medians(report: RunReport) -> dict[tuple[str, str, str], float]:
    """For each group, provider and phase."""
    times: dict[tuple[str, str, str], list[float]] = {}
    for node in report.nodes:
        for phase, seconds in node.seconds.items():
            times.setdefault((node.group, node.provider, phase), []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items()}


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
    """The cycles together. A check's rate counts every node of its group that was asked."""
    names = dict.fromkeys(name for report in reports for name in _check_names(report))
    answers = [
        (named(report, node.group, check.name), check.ok)
        for report in reports
        for node in report.nodes
        for check in node.checks
    ]
    boots = [node.seconds["boot"] for r in reports for node in r.nodes if "boot" in node.seconds]
    return Repetition(
        tuple(report.run for report in reports),
        rate("cycle", (report.verdict is Verdict.PASSED for report in reports)),
        tuple(rate(name, (ok for whose, ok in answers if whose == name)) for name in names),
        percentiles(boots),
        percentiles([report.seconds for report in reports]),
    )


def _check_names(report: RunReport) -> Iterable[str]:
    if not report.grouped:
        return report.checks
    return (named(report, group.name, name) for group in report.groups for name in group.checks)


def named(report: RunReport, group: str, what: str) -> str:
    """What belongs to a group, with the group before it where the config names groups."""
    return f"{group}: {what}" if report.grouped else what


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
