"""The live table: one row per node, with its phase and the time it has taken."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spotdeploy.cli.screen import Screen
from spotdeploy.duration import spell
from spotdeploy.events import (
    CheckAnswered,
    Event,
    NodeCreated,
    NodeDestroyed,
    NodeEnded,
    NodeListed,
    PhaseEnded,
    PhaseStarted,
    RunStarted,
)
from spotdeploy.text import plain

COLOURS = {"passed": "green", "payload failed": "red", "infrastructure failed": "magenta"}


@dataclass
class Row:
    """A node in the table."""

    name: str
    place: str
    phase: str = "created"
    detail: str = ""
    since: float = field(default_factory=time.monotonic)
    ended: float | None = None
    good: int = 0
    asked: set[str] = field(default_factory=set)


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
        self.rows: dict[str, Row] = {}
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = _Lines(self._console, self.render)

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
            self.rows[event.node] = Row(event.name, place)
        row = self.rows.get(getattr(event, "node", ""))
        if row is None:
            return
        match event:
            case PhaseStarted():
                row.phase, row.detail = event.phase, ""
            case PhaseEnded() if not event.ok:
                row.detail = event.detail
            case CheckAnswered():
                row.asked.add(event.check)
                row.good += event.ok and event.settled
                row.detail = "" if event.ok else f"{event.check}: {event.detail}"
            case NodeEnded():
                row.phase, row.detail, row.ended = event.verdict, event.detail, time.monotonic()
            case NodeDestroyed():
                del self.rows[event.node]

    def render(self) -> Table:
        """The table as it is now."""
        table = Table(box=None, pad_edge=False, show_header=bool(self.rows), expand=False)
        for header in ("node", "place", "phase", "time", "checks", ""):
            table.add_column(header, no_wrap=True, overflow="ellipsis")
        height = max(3, self._console.size.height - 4)
        rows = sorted(self.rows.values(), key=lambda row: row.ended is not None)
        for row in rows[:height]:
            table.add_row(*_cells(row))
        if len(rows) > height:
            table.add_row(f"... and {len(rows) - height} more", "", "", "", "", "")
        return table


def _cells(row: Row) -> tuple[str | Text, ...]:
    seconds = (row.ended or time.monotonic()) - row.since
    return (
        row.name,
        row.place,
        Text(row.phase, style=COLOURS.get(row.phase, "cyan")),
        spell(round(seconds)),
        f"{row.good}/{len(row.asked)}" if row.asked else "",
        plain(row.detail, limit=200).replace("\n", " "),
    )
