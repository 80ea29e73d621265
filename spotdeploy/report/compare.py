"""What changed between two runs: verdicts, checks for each provider, and phases that got slower."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from typing import Final

import msgspec

from spotdeploy.duration import spell
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


class PhaseChange(msgspec.Struct, frozen=True):
    """A phase whose median time changed on a provider. In seconds."""

    provider: str
    phase: str
    before: float
    after: float

    @property
    def slower(self) -> bool:
        """True when it takes longer now."""
        return self.after > self.before


class Difference(msgspec.Struct, frozen=True):
    """From one run to another."""

    before: str
    after: str
    verdicts: tuple[str, str]
    same_payload: bool
    checks: tuple[CheckChange, ...]
    phases: tuple[PhaseChange, ...]


def compare(before: RunReport, after: RunReport) -> Difference:
    """The difference between two runs of any age and deployment."""
    return Difference(
        before.run, after.run, (before.verdict, after.verdict), before.digest == after.digest,
        tuple(_check_changes(before, after)), tuple(_phase_changes(before, after)),
    )  # fmt: skip


def show_difference(difference: Difference, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(difference)).decode()
    else:
        text = "\n".join(_lines(difference))
    sys.stdout.write(text + "\n")


def _check_changes(before: RunReport, after: RunReport) -> Iterable[CheckChange]:
    old, new = _checks(before), _checks(after)
    for key in dict.fromkeys((*old, *new)):
        then, now = old.get(key), new.get(key)
        if _share(then) != _share(now):
            yield CheckChange(*key, then, now)


def _checks(report: RunReport) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for node in report.nodes:
        for check in node.checks:
            good, asked = found.get((node.provider, check.name), (0, 0))
            found[node.provider, check.name] = (good + check.ok, asked + 1)
    return found


def _share(counts: tuple[int, int] | None) -> float | None:
    return None if counts is None else counts[0] / counts[1]


def _phase_changes(before: RunReport, after: RunReport) -> Iterable[PhaseChange]:
    old, new = _medians(before), _medians(after)
    for key in (key for key in old if key in new):
        change = abs(new[key] - old[key])
        if change > SECONDS and change > SHARE * old[key]:
            yield PhaseChange(*key, round(old[key], 3), round(new[key], 3))


def _medians(report: RunReport) -> dict[tuple[str, str], float]:
    times: dict[tuple[str, str], list[float]] = {}
    for node in report.nodes:
        for phase, seconds in node.seconds.items():
            times.setdefault((node.provider, phase), []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items()}


def _lines(difference: Difference) -> list[str]:
    then, now = difference.verdicts
    verdict = f"verdict: {then}" if then == now else f"verdict: {then} -> {now}"
    payload = "the same payload" if difference.same_payload else "another payload"
    lines = [f"{difference.before} -> {difference.after}, {payload}", verdict]
    for check in difference.checks:
        counts = f"{_counts(check.before)} -> {_counts(check.after)}"
        lines.append(f"  {check.provider}: check {check.check}: {counts}")
    for phase in difference.phases:
        word = "slower" if phase.slower else "faster"
        times = f"{spell(round(phase.before, 1))} -> {spell(round(phase.after, 1))}"
        lines.append(f"  {phase.provider}: {phase.phase} {word}: {times}")
    if not difference.checks and not difference.phases:
        lines.append("  every check and every phase as before")
    return lines


def _counts(counts: tuple[int, int] | None) -> str:
    return "not asked" if counts is None else f"{counts[0]}/{counts[1]} ok"
