"""The files of a run under `.spotdeploy/runs/<id>/`: its events and its outcome."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.errors import HostError
from spotdeploy.events import Event
from spotdeploy.verdict import Outcome

EVENTS: Final = "events.jsonl"
REPORT: Final = "report.json"


class EventLog:
    """Writes each event as one line of JSON. Events before `open` are kept and written then."""

    def __init__(self) -> None:
        self._file: FileIO | None = None
        self._early: list[bytes] = []
        self._encoder = msgspec.json.Encoder()

    def open(self, folder: Path) -> None:
        """Begin the file. Raises HostError when it cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / EVENTS).open("ab", buffering=0)
        except OSError as error:
            raise HostError(f"cannot write to {folder}: {error.strerror}") from error
        for line in self._early:
            self._file.write(line)

    def on(self, event: Event) -> None:
        """Write the event."""
        line = self._encoder.encode(event) + b"\n"
        if self._file is None:
            self._early.append(line)
        else:
            self._file.write(line)


def write_report(folder: Path, outcome: Outcome) -> None:
    """Keep the outcome as report.json."""
    data = msgspec.json.format(msgspec.json.encode(outcome))
    (folder / REPORT).write_bytes(data + b"\n")
