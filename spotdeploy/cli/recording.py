"""Everything that listens to a run: its log, its screen, and the reports at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from spotdeploy.cli.screen import Screen, new_screen
from spotdeploy.events import Bus, Observer
from spotdeploy.redact import Redactor
from spotdeploy.report.event_log import PAGE, EventLog, event_stream
from spotdeploy.report.run_store import RUNS
from spotdeploy.run.verdict import Outcome


@dataclass
class Recording:
    """The listeners of one run."""

    bus: Bus
    screen: Screen
    log: EventLog
    folder: Path | None = None
    """Where the run's files are; None while nothing was begun."""
    outcome: Outcome | None = field(default=None)

    def begin(self, state: Path, run: str) -> None:
        """Begin the run's folder. Raises HostError when it cannot be made."""
        self.folder = state / RUNS / run
        self.log.open(self.folder)

    def conclude(self, outcome: Outcome) -> None:
        """Show the outcome; the reports are written when the recording ends."""
        self.outcome = outcome
        self.screen.conclude(outcome)


@contextmanager
def recording(
    stream: TextIO,
    redactor: Redactor,
    events: str | None = None,
    environment: Mapping[str, str] = os.environ,
    data: TextIO | None = None,
) -> Iterator[Recording]:
    """Listen to a run; at the end, however it ends, write the reports of what began, and what
    report.json holds to `data` as well.

    Trouble with a report is a warning on standard error and changes nothing else.
    """
    from spotdeploy.report import github

    log, screen = EventLog(), new_screen(stream)
    listeners: list[Observer] = [log, screen]
    extra = None if events is None else event_stream(events)
    if extra is not None:
        listeners.append(extra)
    record = Recording(Bus(*listeners, redact=redactor.anything), screen, log)
    try:
        with github.quoting(stream, environment):
            yield record
    finally:
        log.close()
        if extra is not None:
            extra.close()
        if record.folder is not None:
            problems = _finish(record, record.folder, stream, environment)
            problems += _hand_over(record.folder, data) if data else []
            sys.stderr.writelines(f"warning: {problem}\n" for problem in problems)


def _finish(
    record: Recording, folder: Path, stream: TextIO, environment: Mapping[str, str]
) -> list[str]:
    """Write the reports and tell GitHub; what went wrong, one line each."""
    from spotdeploy.report import github
    from spotdeploy.report.run_store import read_report, read_story
    from spotdeploy.report.writer import write_reports

    problems = [record.log.trouble] if record.log.trouble else []
    problems += write_reports(folder, record.outcome)
    try:
        if (folder / PAGE).exists():
            stream.write(f"report: {folder / PAGE}\n")
        if github.asked(environment):
            github.tell(read_story(folder), read_report(folder), folder, stream, environment)
    except Exception as error:  # noqa: BLE001  # a report never changes how a run ended
        problems.append(f"no summary for GitHub: {type(error).__name__}: {error}")
    return problems


def _hand_over(folder: Path, data: TextIO) -> list[str]:
    from spotdeploy.report.model import encode
    from spotdeploy.report.run_store import read_report

    try:
        data.write(encode(read_report(folder)).decode())
        data.flush()
    except Exception as error:  # noqa: BLE001  # a report never changes how a run ended
        return [f"no JSON: {type(error).__name__}: {error}"]
    return []
