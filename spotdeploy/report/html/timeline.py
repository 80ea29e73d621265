"""Where everything stands in the picture of a run: one node for each node, time to the right.

Geometry only, in the units of the drawing's own grid; the template draws it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.duration import spell
from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.report.model import GroupReport, NodeReport, RunReport, Span

WIDTH: Final = 1060.0
LEFT: Final = 196.0
RIGHT: Final = 64.0
PLOT: Final = WIDTH - LEFT - RIGHT
TOP: Final = 26.0
ROW: Final = 24.0
THIN_ROW: Final = 11.0
ALONE: Final = 24
"""Up to so many nodes, each has a node; above, those of one kind share one."""
FEW: Final = 3
"""Kinds of no more nodes than this keep a node for each."""
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
_TONES: Final = {
    Verdict.PASSED: "good",
    Verdict.PAYLOAD_FAILED: "bad",
    Verdict.INFRASTRUCTURE_FAILED: "infra",
}
KNOWN: Final = ("boot", "ship", "deploy", "reboot", "connect", "verify")


@dataclass(frozen=True, slots=True)
class Bar:
    """A coloured span."""

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
    """A mark on a node."""

    x: float
    kind: str
    """"interrupted", "failed", "note" or "warning"."""
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One node as it is drawn."""

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
    extent: tuple[float, float] | None = None
    """x and width from the first to the last of the nodes that share the node."""
    kind: str = ""
    """"group" for the heading of a group's nodes."""
    note: str = ""
    """Written where the rest begins, where there is room."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole drawing."""

    width: float
    height: float
    left: float
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    """x and what is written there."""


def picture(report: RunReport) -> Picture:
    """The run's own steps, and a node for each node, or for each kind of node when many. Where the
    config names groups, each has a heading with its own steps and its wait for others."""
    scale = _Scale(report)
    rows = [_run_row(report, scale)]
    together = len(report.nodes) > ALONE
    if not report.grouped:
        rows += _node_rows(_kinds(report.nodes, together), scale, _below(rows))
        return _framed(rows, scale)
    for group in report.groups:
        rows.append(_group_row(group, report, scale, _below(rows)))
        kinds = _kinds(report.nodes_of(group.name), together)
        rows += _node_rows(kinds, scale, _below(rows))
    return _framed(rows, scale)


def thin_picture(report: RunReport) -> Picture | None:
    """A thin node for every single node, when `picture` shares nodes; else None."""
    if len(report.nodes) <= ALONE:
        return None
    scale = _Scale(report)
    order = {group.name: number for number, group in enumerate(report.groups)}
    nodes = sorted(
        report.nodes, key=lambda node: (node.passed, order.get(node.group, 0), node.provider)
    )
    rows = [_node_row(node, scale, TOP + THIN_ROW * i, THIN_ROW) for i, node in enumerate(nodes)]
    return _framed(rows, scale)


class _Scale:
    """From moments to places."""

    def __init__(self, report: RunReport) -> None:
        self.start = report.started_at
        self.seconds = max(report.seconds, 0.001)

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


def _below(rows: Sequence[Row]) -> float:
    """Where the next row begins."""
    return TOP + ROW * len(rows) + 8


def _node_rows(kinds: Iterable[Sequence[NodeReport]], scale: _Scale, top: float) -> Iterator[Row]:
    for number, nodes in enumerate(kinds):
        y = top + ROW * number
        if len(nodes) == 1:
            yield _node_row(nodes[0], scale, y, ROW)
        else:
            yield _shared(nodes, scale, y)


def _kinds(nodes: Sequence[NodeReport], together: bool) -> list[list[NodeReport]]:
    """Lanes that are drawn `together`: then those that did not pass come first."""
    if not together:
        return [[node] for node in nodes]
    kinds: dict[tuple[object, ...], list[NodeReport]] = {}
    for node in sorted(nodes, key=lambda node: node.passed):
        kinds.setdefault((node.provider, node.verdict, node.fate, node.phase), []).append(node)
    single = [[node] for kind in kinds.values() if len(kind) <= FEW for node in kind]
    return sorted(
        single + [kind for kind in kinds.values() if len(kind) > FEW],
        key=lambda kind: (kind[0].passed, kind[0].provider),
    )


def _run_row(report: RunReport, scale: _Scale) -> Row:
    own = [step for step in report.steps if not (report.grouped and step.group)]
    bars = tuple(_bar(step, scale, "step", label=True) for step in own)
    dots = tuple(_dot(mark.at, mark.warning, mark.text, scale) for mark in report.marks)
    return Row(
        TOP,
        ROW,
        "the run",
        f"{report.command} of {report.deployment}",
        spell(_round(report.seconds)),
        "muted",
        bars,
        dots,
        None,
    )


def _group_row(group: GroupReport, report: RunReport, scale: _Scale, y: float) -> Row:
    """A group's own steps, and before them the time that it waited for others."""
    steps = [step for step in report.steps if step.group == group.name]
    nodes = report.nodes_of(group.name)
    whole_end = scale.start + scale.seconds
    first = min((step.start for step in report.steps if step.group), default=whole_end)
    begin = min((step.start for step in steps), default=whole_end)
    end = max((node.end for node in nodes), default=begin)
    waits = f"waits for {' and '.join(group.after)}" if group.after else ""
    note = group.message if group.waited_for else waits
    rest = round(scale.x(begin) - scale.x(first), 2)
    return Row(
        round(y, 1),
        ROW,
        shorten(group.name),
        f"group {group.name}, {group.verdict or group.message or 'unfinished'}; {note}".strip("; "),
        spell(_round(end - begin)) if nodes else "",
        _TONES.get(group.verdict or Verdict.UNFINISHED, "muted"),
        tuple(_bar(step, scale, "step", label=True) for step in steps),
        (),
        (scale.x(first), rest) if group.after and rest > 0 else None,
        kind="group",
        note=note if rest > 6.2 * len(note) else "",
    )


def _node_row(node: NodeReport, scale: _Scale, y: float, height: float) -> Row:
    dots = [_dot(mark.at, mark.warning, mark.text, scale) for mark in node.marks]
    if node.verdict and not node.passed:
        kind = "interrupted" if node.interrupted else "failed"
        dots.append(Dot(scale.x(_worked(node)), kind, node.message or node.verdict))
    rest_from, rest_to = scale.x(_worked(node)), scale.x(node.gone or scale.start + scale.seconds)
    return Row(
        round(y, 1),
        height,
        shorten(node.name),
        f"{node.name}, {_of_group(node)}{node.place}",
        spell(_round(node.end - node.start)),
        tone(node),
        _bars(node.phases, scale),
        tuple(dots),
        (rest_from, round(rest_to - rest_from, 2)) if rest_to > rest_from else None,
    )


def _shared(nodes: Sequence[NodeReport], scale: _Scale, y: float) -> Row:
    """Many nodes as one node: each phase from its median start to its median end."""
    first = nodes[0]
    names = dict.fromkeys(phase.name for node in nodes for phase in node.phases)
    medians = [_median_phase(name, nodes) for name in names]
    begin, end = min(node.start for node in nodes), max(node.end for node in nodes)
    dots = []
    if first.verdict and not first.passed:
        kind = "interrupted" if first.interrupted else "failed"
        middle = statistics.median(_worked(node) for node in nodes)
        dots = [Dot(scale.x(middle), kind, f"{len(nodes)} nodes: {first.verdict}")]
    seconds = statistics.median(node.end - node.start for node in nodes)
    whose = f"{_of_group(first)}{first.provider}"
    return Row(
        round(y, 1),
        ROW,
        f"{len(nodes)} nodes, {first.provider}",
        f"{len(nodes)} nodes of {whose}, {first.verdict or 'unfinished'}; medians",
        f"~{spell(_round(seconds))}",
        tone(first),
        _bars(medians, scale),
        tuple(dots),
        None,
        (scale.x(begin), round(scale.x(end) - scale.x(begin), 2)),
    )


def _of_group(node: NodeReport) -> str:
    return "" if node.group == DEFAULT_GROUP else f"group {node.group}, "


def _median_phase(name: str, nodes: Sequence[NodeReport]) -> Span:
    mine = [phase for node in nodes for phase in node.phases if phase.name == name]
    start = statistics.median(phase.start for phase in mine)
    seconds = statistics.median(phase.seconds for phase in mine)
    return Span(name, start, start + seconds, all(phase.ok for phase in mine))


def _worked(node: NodeReport) -> float:
    """When it last worked: what comes after is the bringing back of evidence, and waiting."""
    return node.phases[-1].end if node.phases else node.end


def _bars(phases: Sequence[Span], scale: _Scale) -> tuple[Bar, ...]:
    kinds = ((phase, phase.name if phase.name in KNOWN else "other") for phase in phases)
    return tuple(_bar(phase, scale, kind) for phase, kind in kinds)


def _bar(span: Span, scale: _Scale, kind: str, *, label: bool = False) -> Bar:
    x = scale.x(span.start)
    width = max(1.2, round(scale.x(span.end) - x, 2))
    how = "" if span.ok else ", not finished" if span.open else ", failed"
    title = f"{span.name} {spell(_round(span.seconds))}{how}"
    room = label and width > 9 + 6.2 * len(span.name)
    return Bar(x, width, kind, span.ok, title, span.name if room else "")


def _dot(at: float, warning: bool, text: str, scale: _Scale) -> Dot:
    return Dot(scale.x(at), "warning" if warning else "note", text)


def tone(node: NodeReport) -> str:
    """The style class of a node's verdict: "good", "bad", "infra" or "muted"."""
    return _TONES.get(node.verdict or Verdict.UNFINISHED, "muted")


def shorten(name: str) -> str:
    """A name that fits beside its node: the middle goes, for the end tells nodes apart."""
    if len(name) <= LABEL:
        return name
    return f"{name[: LABEL // 2 - 1]}…{name[-(LABEL // 2) :]}"


def _round(seconds: float) -> float:
    return round(seconds, 1) if seconds < 60 else round(seconds)


def _moment(seconds: float) -> str:
    return "0" if seconds == 0 else spell(round(seconds, 1))
