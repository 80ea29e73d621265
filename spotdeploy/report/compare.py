"""What changed between two runs: verdicts, checks for each provider, and phases that got slower."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
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
