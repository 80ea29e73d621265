"""The pictures of the live table, drawn from a run that was: docs/assets/live-*.svg.

`python -m docs.pictures` runs the example of a small cluster on this computer, takes its events
from its folder, and draws what a terminal showed at two moments: while the workers are verified,
and at the end.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from unittest import mock

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from spotdeploy.cli.live import LiveScreen
from spotdeploy.events import CheckAnswered, Event, NodeCreated, NodeEnded, PhaseStarted
from spotdeploy.model import Phase
from spotdeploy.report.run_store import read_events

ROOT: Final = Path(__file__).resolve().parents[1]
ASSETS: Final = ROOT / "docs/assets"
EXAMPLE: Final = ROOT / "docs/examples/cluster"
WIDTH: Final = 96
FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""A picture that fetches nothing: without rich's fonts, it is in the reader's own."""


class _Film(LiveScreen):
    """Keeps the lines that would stand above the table. Its clock shows the last event's time."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.lines: list[str] = []
        self.now = 0.0
        self._console = Console(file=io.StringIO(), width=WIDTH, height=40)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def update(self, event: Event) -> None:
        self.now = event.at
        super().update(event)
        if isinstance(event, NodeCreated):
            self._rows[event.node].since = event.at


def main() -> None:
    """Run the example and write the pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "cluster")
        shutil.copytree(EXAMPLE, folder)
        command = [sys.executable, "-m", "spotdeploy", "cycle", "--keep", "never"]
        subprocess.run(command, cwd=folder, check=True)
        (run,) = (folder / ".spotdeploy/runs").iterdir()
        events, _ = read_events(run)
    for title, until in (("live-verify", _verifying(events)), ("live-passed", _passed(events))):
        (ASSETS / f"{title}.svg").write_text(draw(events[: until + 1]), "utf-8")


def _verifying(events: Sequence[Event]) -> int:
    """When a node of the last group has answered its first check, and others are under way."""
    begun = [n for n, e in enumerate(events) if isinstance(e, PhaseStarted)]
    last = max(n for n in begun if getattr(events[n], "phase", "") == Phase.VERIFY)
    answers = (n for n, e in enumerate(events) if isinstance(e, CheckAnswered) and n > last)
    return next(answers)


def _passed(events: Sequence[Event]) -> int:
    """When the last node has ended."""
    return max(n for n, e in enumerate(events) if isinstance(e, NodeEnded))


def draw(events: Sequence[Event]) -> str:
    """What a terminal shows after these events, as SVG."""
    film = _Film()
    with mock.patch("spotdeploy.cli.live.time.monotonic", side_effect=lambda: film.now):
        for event in events:
            film.on(event)
        film.close()
        console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)
        console.print(Text("$ spotdeploy cycle"))
        console.print(Text("\n".join([*film.lines, ""])))
        console.print(film.table())
    return console.export_svg(title="spotdeploy", code_format=FORMAT, unique_id="spotdeploy")


if __name__ == "__main__":
    main()
