"""The live table: one row per node, with its phase and the time it has taken.

Where the config names groups, each is a section. At its head stands what it waits for; when the
terminal has too few lines, its nodes are counted there, and only those that failed have a row.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spotdeploy.cli.screen import Screen
from spotdeploy.duration import spell
from spotdeploy.events import (
    CheckAnswered,
    Event,
    GroupEnded,
    GroupPlan,
    NodeCreated,
    NodeDestroyed,
    NodeEnded,
    NodeListed,
    PhaseEnded,
    PhaseProgress,
    PhaseStarted,
    RunStarted,
    StepStarted,
)
from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.text import plain

_GAP = 2
"""Between columns."""
_HEADERS = ("node", "place", "phase", "time", "checks", "")
_Cells = tuple[str | Text, ...]
COLOURS = {
    "passed": "green",
    "payload failed": "red",
    "tests failed": "red",
    "infrastructure failed": "magenta",
}


@dataclass
class Row:
    """A node in the table."""

    name: str
    place: str
    group: str = DEFAULT_GROUP
    phase: str = "created"
    detail: str = ""
    since: float = field(default_factory=time.monotonic)
    ended: float | None = None
    good: int = 0
    asked: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    """Each check that is not settled well, with its last answer; empty for a good one that must
    hold."""

    def answered(self, event: CheckAnswered) -> None:
        """Take a check's answer; the detail is then of the check that is waited for."""
        self.asked.add(event.check)
        self.good += event.ok and event.settled
        if event.ok and event.settled:
            self.waiting.pop(event.check, None)
        else:
            self.waiting[event.check] = "" if event.ok else event.detail or "failed"
        bad = [f"{check}: {answer}" for check, answer in self.waiting.items() if answer]
        holding = [f"{check}: ok, must hold" for check in self.waiting]
        self.detail = next(iter([*bad, *holding]), "")
        if len(bad) > 1:
            self.detail = f"{self.detail.partition(chr(10))[0]} (and {len(bad) - 1} more)"

    @property
    def failed(self) -> bool:
        return self.ended is not None and self.phase != Verdict.PASSED


@dataclass
class _Section:
    """One group."""

    plan: GroupPlan
    phase: str = ""
    """What it waits for, or how it ended; empty while its nodes are under way."""
    detail: str = ""
    """Why it ended so."""
    since: float | None = None
    ended: float | None = None

    @property
    def name(self) -> str:
        return self.plan.name


class _Lines(Live):
    """A live table that prints the lines above it when it is drawn again, all at once: each print
    draws the table too, so a line at a time costs as many tables as there are lines."""

    def __init__(self, console: Console, render: Callable[[], Table]) -> None:
        super().__init__(
            console=console, refresh_per_second=4, get_renderable=render, transient=True
        )
        self._waiting: deque[str] = deque()

    def say(self, text: str) -> None:
        """Print a line above the table when that is drawn next."""
        self._waiting.append(text)

    def refresh(self) -> None:
        """Print what waits, and draw the table."""
        self.flush()
        super().refresh()

    def flush(self) -> None:
        """Print what waits."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if lines:
            self.console.print(Text("\n".join(lines)), soft_wrap=True)  # no command is broken


class LiveScreen(Screen):
    """Lines above, the table of nodes below."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._rows: dict[str, Row] = {}
        self._sections: dict[str, _Section] = {}
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = _Lines(self._console, self.table)

    def close(self) -> None:
        """Stop drawing; the table goes, the lines stay."""
        self._live.stop()
        self._live.flush()

    def say(self, text: str) -> None:
        """Print a line above the table, within a quarter of a second."""
        self._live.say(text)
        if not self._live.is_started:
            self._live.flush()

    def on(self, event: Event) -> None:
        """Take the event into the table, and show it as a line when the table does not."""
        if isinstance(event, RunStarted):
            self._sections = {plan.name: _section(plan) for plan in _sections_of(event)}
            self._live.start()
        self.update(event)
        super().on(event)

    def node_line(self, event: Event) -> str | None:
        """The table shows what goes well; a line is for what failed."""
        failed = isinstance(event, PhaseEnded | CheckAnswered) and not event.ok
        return super().node_line(event) if failed else None

    def end(self, text: str, exit_code: int) -> None:
        """Show how it ended, the exit code in colour."""
        self.close()
        super().end(text, exit_code)
        colour = "red" if exit_code else "green"
        self._console.print(Text(f"exit code {exit_code}", style=f"bold {colour}"))

    def update(self, event: Event) -> None:
        """Take an event into the table."""
        if isinstance(event, NodeCreated | NodeListed):
            place = f"{event.provider} {event.location}"
            self._rows[event.node] = Row(event.name, place, event.group)
            self._begin(event.group)
        if isinstance(event, StepStarted):
            self._begin(event.group)
        if isinstance(event, GroupEnded) and event.group in self._sections:
            section = self._sections[event.group]
            section.phase, section.detail = event.verdict or "not deployed", event.detail
            section.ended = time.monotonic()
        row = self._rows.get(getattr(event, "node", ""))
        if row is None:
            return
        match event:
            case PhaseStarted():
                row.phase, row.detail = event.phase, ""
                row.waiting.clear()
            case PhaseProgress():
                row.detail = event.text
            case PhaseEnded() if not event.ok:
                row.detail = event.detail
            case CheckAnswered():
                row.answered(event)
            case NodeEnded():
                row.phase, row.detail, row.ended = event.verdict, event.detail, time.monotonic()
            case NodeDestroyed():
                del self._rows[event.node]

    def _begin(self, group: str) -> None:
        """A group is under way, for the first time or afresh."""
        section = self._sections.get(group)
        if section is not None and (section.since is None or section.ended is not None):
            section.phase, section.detail = "", ""
            section.since, section.ended = time.monotonic(), None

    def table(self) -> Table:
        shown = bool(self._rows or self._sections)
        table = Table(box=None, pad_edge=False, show_header=shown, expand=False)
        for header in _HEADERS:
            table.add_column(header, no_wrap=True, overflow="ellipsis")
        height = max(3, self._console.size.height - 4)
        rows = list(self._lines(height))
        for cells in _fitted(rows[:height], self._console.size.width):
            table.add_row(*cells)
        if len(rows) > height:
            table.add_row(f"... and {len(rows) - height} more", "", "", "", "", "")
        return table

    def _lines(self, height: int) -> Iterator[_Cells]:
        rows = sorted(self._rows.values(), key=lambda row: row.ended is not None)
        folded = len(rows) + len(self._sections) > height
        for section in self._sections.values():
            mine = [row for row in rows if row.group == section.name]
            yield _head(section, mine, folded=folded)
            for row in mine:
                if row.failed or not folded:
                    yield _cells(row, indent="  ")
        yield from (_cells(row) for row in rows if row.group not in self._sections)


def _sections_of(run: RunStarted) -> Sequence[GroupPlan]:
    """The groups of a run that makes or verifies nodes, where the config names any."""
    named = any(plan.name != DEFAULT_GROUP for plan in run.groups)
    return run.groups if named and run.command != "destroy" else ()


def _section(plan: GroupPlan) -> _Section:
    return _Section(plan, f"waits for {' and '.join(plan.after)}" if plan.after else "")


def _fitted(rows: Sequence[_Cells], width: int) -> Iterator[_Cells]:
    """The rows with their last cells, which say why, cut to what is left of the line: else a long
    one takes the room of the names."""
    columns = list(zip(_HEADERS, *rows, strict=True))[:-1]
    taken = sum(_GAP + max(cell_len(str(cell)) for cell in column) for column in columns)
    left = max(12, width - taken)
    for *cells, last in rows:
        text = str(last)
        yield (*cells, text if cell_len(text) <= left else f"{text[: left - 1]}…")


def _head(section: _Section, rows: Sequence[Row], *, folded: bool) -> _Cells:
    """The line of a group. One that is `folded` counts its nodes by phase."""
    seconds = (section.ended or time.monotonic()) - section.since if section.since else None
    nodes = f"{len(rows)} of {section.plan.desired}"
    checks = f"{sum(row.good for row in rows)}/{sum(len(row.asked) for row in rows)}"
    phases = Counter(row.phase for row in rows).most_common() if folded else ()
    counts = ", ".join(f"{count} {phase}" for phase, count in phases)
    why = "" if section.phase == Verdict.PASSED else plain(section.detail, limit=200)
    return (
        Text(section.name, style="bold"),
        nodes if rows else "",
        Text(section.phase, style=COLOURS.get(section.phase, "dim")),
        "" if seconds is None else spell(round(seconds)),
        checks if folded and rows else "",
        counts or why.replace("\n", " "),
    )


def _cells(row: Row, indent: str = "") -> _Cells:
    seconds = (row.ended or time.monotonic()) - row.since
    return (
        f"{indent}{row.name}",
        row.place,
        Text(row.phase, style=COLOURS.get(row.phase, "cyan")),
        spell(round(seconds)),
        f"{row.good}/{len(row.asked)}" if row.asked else "",
        plain(row.detail, limit=200).replace("\n", " "),
    )
