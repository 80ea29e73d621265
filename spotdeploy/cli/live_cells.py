"""The live table of a matrix: one row per cell, with how many of its nodes are in which phase."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TextIO

from rich.table import Table
from rich.text import Text

from spotdeploy.cli.live import COLOURS, LiveScreen, Row
from spotdeploy.duration import spell
from spotdeploy.events import (
    Event,
    NodeCreated,
    NodeDestroyed,
    NodeListed,
    RunEnded,
    RunStarted,
    StepStarted,
)
from spotdeploy.text import plain


@dataclass
class _Cell:
    step: str = "waiting"
    since: float = field(default_factory=time.monotonic)
    ended: float | None = None
    nodes: dict[str, Row] = field(default_factory=dict)
    message: str = ""


class CellsScreen(LiveScreen):
    """Lines above, the table of cells below."""

    def __init__(self, stream: TextIO) -> None:
        self._cells: dict[str, _Cell] = {}  # the table is drawn once when it is made
        super().__init__(stream)

    def update(self, event: Event) -> None:
        """Take an event into the table."""
        super().update(event)
        if not event.cell:
            return
        cell = self._cells.setdefault(event.cell, _Cell())
        match event:
            case RunStarted():
                cell.step, cell.since = event.command, time.monotonic()
            case StepStarted():
                cell.step = event.step
            case NodeCreated() | NodeListed():
                cell.nodes[event.node] = self._rows[event.node]
            case NodeDestroyed():
                cell.nodes.pop(event.node, None)
            case RunEnded():
                cell.step, cell.message = event.verdict, event.detail
                cell.ended = time.monotonic()
                cell.nodes.clear()

    def table(self) -> Table:
        """The table as it is now."""
        shown = Table(box=None, pad_edge=False, show_header=bool(self._cells), expand=False)
        longest = max(map(len, self._cells), default=0)
        shown.add_column("cell", no_wrap=True, overflow="ellipsis", min_width=longest)
        for header in ("nodes", "time", "checks", ""):
            shown.add_column(header, no_wrap=True, overflow="ellipsis")
        height = max(3, self._console.size.height - 4)
        cells = sorted(self._cells.items(), key=lambda item: item[1].ended is not None)
        for name, cell in cells[:height]:
            shown.add_row(name, *_columns(cell))
        if len(cells) > height:
            shown.add_row(f"... and {len(cells) - height} more", "", "", "", "")
        return shown


def _columns(cell: _Cell) -> tuple[str | Text, ...]:
    seconds = (cell.ended or time.monotonic()) - cell.since
    rows = list(cell.nodes.values())
    phases = Counter(row.phase for row in rows)
    text = ", ".join(f"{count} {phase}" for phase, count in phases.items()) or cell.step
    detail = next((row.detail for row in rows if row.detail), cell.message)
    good = sum(row.good for row in rows)
    asked = sum(len(row.asked) for row in rows)
    return (
        Text(text, style=COLOURS.get(text, "cyan")),
        spell(round(seconds)),
        f"{good}/{asked}" if asked else "",
        plain(detail, limit=200).replace("\n", " "),
    )
