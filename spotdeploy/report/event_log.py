"""The files of a run under `.spotdeploy/runs/<id>/`, and its events as they come."""

from __future__ import annotations

import sys
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from spotdeploy.errors import HostError, cannot
from spotdeploy.events import Event
from spotdeploy.state.folder import private, private_folder
from spotdeploy.text import inert

EVENTS: Final = "events.jsonl"
REPORT: Final = "report.json"
JUNIT: Final = "junit.xml"
PAGE: Final = "report.html"


class EventLog:
    """Writes each event as one line of JSON. Events before `open` are kept and written then."""

    def __init__(self) -> None:
        self._file: FileIO | None = None
        self._early: list[bytes] = []
        self._encoder = msgspec.json.Encoder()
        self.trouble = ""
        """Why it stopped writing, if it did: a full disk must not end a run."""

    def open(self, folder: Path) -> None:
        """Begin the file. Raises HostError when it cannot be made."""
        try:
            private_folder(folder)
            self._file = FileIO(folder / EVENTS, "ab", opener=private)
        except OSError as error:
            raise cannot(f"write to {folder}", error) from error
        self._write(b"".join(self._early))

    def on(self, event: Event) -> None:
        """Write the event."""
        line = self._encoder.encode(event) + b"\n"
        if self._file is None:
            self._early.append(line)
        else:
            self._write(line)

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        if self._file is not None:
            self._file.close()

    def _write(self, data: bytes) -> None:
        if self._file is None or self.trouble:
            return
        try:
            self._file.write(data)
        except OSError as error:
            self.trouble = f"events are no longer written: {error.strerror}"


class EventStream:
    """Writes each event as one line of JSON to a stream, at once: for `--events`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream
        self._encoder = msgspec.json.Encoder()

    def on(self, event: Event) -> None:
        """Write the event; a reader that went away silences the stream, not the run."""
        if self._stream is None:
            return
        try:
            self._stream.write(inert(self._encoder.encode(event).decode()).encode() + b"\n")
            self._stream.flush()
        except OSError:
            self.close()

    def close(self) -> None:
        """Write no more, and let go of a file. Closing twice is fine."""
        stream, self._stream = self._stream, None
        if stream is not None and stream is not sys.stdout.buffer:
            stream.close()


def event_stream(target: str) -> EventStream:
    """Events to standard output for "-", else to a file. Raises HostError if it cannot be made."""
    if target == "-":
        return EventStream(sys.stdout.buffer)
    try:
        return EventStream(Path(target).open("ab", buffering=0))
    except OSError as error:
        raise HostError(
            f"--events: cannot write {target}: {error.strerror}", hint="name another file"
        ) from error
