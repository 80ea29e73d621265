"""Where everything stands in the picture of a run: one lane for each node, time to the right.

Geometry only, in the units of the drawing's own grid; the template draws it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.duration import spell
from spotdeploy.model import FateKind
from spotdeploy.report.story import Lane, Story, Stretch

WIDTH: Final = 1060.0
LEFT: Final = 196.0
RIGHT: Final = 64.0
PLOT: Final = WIDTH - LEFT - RIGHT
TOP: Final = 26.0
ROW: Final = 24.0
THIN_ROW: Final = 11.0
ALONE: Final = 24
"""Up to so many nodes, each has a lane; above, those of one kind share one."""
FEW: Final = 3
"""Kinds of no more nodes than this keep a lane for each."""
LABEL: Final = 27
_STEPS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
KNOWN: Final = ("boot", "ship", "deploy", "reboot", "connect", "verify")


@dataclass(frozen=True, slots=True)
class Bar:
    """A coloured stretch."""

    x: float
    width: float
    kind: str
    """A style class: a known phase's name, or "other"."""
    ok: bool
    title: str
    label: str = ""
    """Written on it, where there is room."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A mark on a lane."""

    x: float
    kind: str
    """"interrupted", "failed", "note" or "warning"."""
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One lane as it is drawn."""

    y: float
    height: float
    label: str
    title: str
    end: str
    """What stands at its right end: the time it took."""
    tone: str
    bars: tuple[Bar, ...]
    dots: tuple[Dot, ...]
    rest: tuple[float, float] | None
    """x and width of the time a node was there but no longer worked."""
    reach: tuple[float, float] | None = None
    """x and width from the first to the last of the nodes that share the lane."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole drawing."""

    width: float
    height: float
    left: float
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    """x and what is written there."""


def picture(story: Story) -> Picture:
    """The run's own steps, and a lane for each node, or for each kind of node when many."""
    scale = _Scale(story)
    rows = [_run_row(story, scale)]
    for lanes in _kinds(story.lanes):
        y = TOP + ROW * len(rows) + 8
        rows.append(
            _lane_row(lanes[0], scale, y, ROW) if len(lanes) == 1 else _shared(lanes, scale, y)
        )
    return _framed(rows, scale)


def thin_picture(story: Story) -> Picture | None:
    """A thin lane for every single node, when `picture` shares lanes; else None."""
    if len(story.lanes) <= ALONE:
        return None
    scale = _Scale(story)
    lanes = sorted(story.lanes, key=lambda lane: (lane.passed, lane.provider))
    rows = [_lane_row(lane, scale, TOP + THIN_ROW * i, THIN_ROW) for i, lane in enumerate(lanes)]
    return _framed(rows, scale)


class _Scale:
    """From moments to places."""

    def __init__(self, story: Story) -> None:
        self.start = story.start
        self.seconds = max(story.seconds, 0.001)

    def x(self, at: float) -> float:
        share = (at - self.start) / self.seconds
        return round(LEFT + PLOT * min(1.0, max(0.0, share)), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        step = next((s for s in _STEPS if self.seconds / s <= 9), self.seconds / 8)
        count = math.floor(self.seconds / step + 1e-9)
        return tuple((self.x(self.start + i * step), _moment(i * step)) for i in range(count + 1))


def _framed(rows: Sequence[Row], scale: _Scale) -> Picture:
    height = rows[-1].y + rows[-1].height + 6
    return Picture(WIDTH, round(height, 1), LEFT, tuple(rows), scale.ticks())


def _kinds(lanes: Sequence[Lane]) -> list[list[Lane]]:
    """Lanes that are drawn together. Those that did not pass come first when there are many."""
    if len(lanes) <= ALONE:
        return [[lane] for lane in lanes]
    kinds: dict[tuple[object, ...], list[Lane]] = {}
    for lane in sorted(lanes, key=lambda lane: lane.passed):
        kinds.setdefault((lane.provider, lane.verdict, lane.fate, lane.phase), []).append(lane)
    single = [[lane] for kind in kinds.values() if len(kind) <= FEW for lane in kind]
    return sorted(
        single + [kind for kind in kinds.values() if len(kind) > FEW],
        key=lambda kind: (kind[0].passed, kind[0].provider),
    )


def _run_row(story: Story, scale: _Scale) -> Row:
    bars = tuple(_bar(step, scale, "step", label=True) for step in story.steps)
    dots = tuple(_dot(mark.at, mark.warning, mark.text, scale) for mark in story.marks)
    return Row(
        TOP,
        ROW,
        "the run",
        f"{story.command} of {story.deployment}",
        spell(_round(story.seconds)),
        "muted",
        bars,
        dots,
        None,
    )


def _lane_row(lane: Lane, scale: _Scale, y: float, height: float) -> Row:
    dots = [_dot(mark.at, mark.warning, mark.text, scale) for mark in lane.marks]
    if lane.verdict and not lane.passed:
        kind = "interrupted" if lane.fate == FateKind.INTERRUPTED else "failed"
        dots.append(Dot(scale.x(_worked(lane)), kind, lane.detail or lane.verdict))
    rest_from, rest_to = scale.x(_worked(lane)), scale.x(lane.gone or scale.start + scale.seconds)
    return Row(
        round(y, 1),
        height,
        shorten(lane.name),
        f"{lane.name}, {lane.place}",
        spell(_round(lane.end - lane.start)),
        tone(lane),
        _bars(lane.phases, scale),
        tuple(dots),
        (rest_from, round(rest_to - rest_from, 2)) if rest_to > rest_from else None,
    )


def _shared(lanes: Sequence[Lane], scale: _Scale, y: float) -> Row:
    """Many nodes as one lane: each phase from its median start to its median end."""
    first = lanes[0]
    names = dict.fromkeys(phase.name for lane in lanes for phase in lane.phases)
    medians = [_median_phase(name, lanes) for name in names]
    begin, end = min(lane.start for lane in lanes), max(lane.end for lane in lanes)
    dots = []
    if first.verdict and not first.passed:
        kind = "interrupted" if first.fate == FateKind.INTERRUPTED else "failed"
        middle = statistics.median(_worked(lane) for lane in lanes)
        dots = [Dot(scale.x(middle), kind, f"{len(lanes)} nodes: {first.verdict}")]
    seconds = statistics.median(lane.end - lane.start for lane in lanes)
    return Row(
        round(y, 1),
        ROW,
        f"{len(lanes)} nodes, {first.provider}",
        f"{len(lanes)} nodes of {first.provider}, {first.verdict or 'unfinished'}; medians",
        f"~{spell(_round(seconds))}",
        tone(first),
        _bars(medians, scale),
        tuple(dots),
        None,
        (scale.x(begin), round(scale.x(end) - scale.x(begin), 2)),
    )


def _median_phase(name: str, lanes: Sequence[Lane]) -> Stretch:
    mine = [phase for lane in lanes for phase in lane.phases if phase.name == name]
    start = statistics.median(phase.start for phase in mine)
    seconds = statistics.median(phase.seconds for phase in mine)
    return Stretch(name, start, start + seconds, all(phase.ok for phase in mine))


def _worked(lane: Lane) -> float:
    """When it last worked: what comes after is the bringing back of evidence, and waiting."""
    return lane.phases[-1].end if lane.phases else lane.end


def _bars(phases: Sequence[Stretch], scale: _Scale) -> tuple[Bar, ...]:
    kinds = ((phase, phase.name if phase.name in KNOWN else "other") for phase in phases)
    return tuple(_bar(phase, scale, kind) for phase, kind in kinds)


def _bar(stretch: Stretch, scale: _Scale, kind: str, *, label: bool = False) -> Bar:
    x = scale.x(stretch.start)
    width = max(1.2, round(scale.x(stretch.end) - x, 2))
    how = "" if stretch.ok else ", not finished" if stretch.open else ", failed"
    title = f"{stretch.name} {spell(_round(stretch.seconds))}{how}"
    room = label and width > 9 + 6.2 * len(stretch.name)
    return Bar(x, width, kind, stretch.ok, title, stretch.name if room else "")


def _dot(at: float, warning: bool, text: str, scale: _Scale) -> Dot:
    return Dot(scale.x(at), "warning" if warning else "note", text)


def tone(lane: Lane) -> str:
    """The style class of a node's verdict: "good", "bad", "infra" or "muted"."""
    tones = {"passed": "good", "payload failed": "bad", "infrastructure failed": "infra"}
    return tones.get(lane.verdict, "muted")


def shorten(name: str) -> str:
    """A name that fits beside its lane: the middle goes, for the end tells nodes apart."""
    if len(name) <= LABEL:
        return name
    return f"{name[: LABEL // 2 - 1]}…{name[-(LABEL // 2) :]}"


def _round(seconds: float) -> float:
    return round(seconds, 1) if seconds < 60 else round(seconds)


def _moment(seconds: float) -> str:
    return "0" if seconds == 0 else spell(round(seconds, 1))
