"""Writing the files of a run. Whatever goes wrong here changes no verdict and no exit code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from spotdeploy.report.event_log import EVENTS, JUNIT, PAGE, REPORT, EventLog
from spotdeploy.report.model import RunReport, build, encode, logs
from spotdeploy.report.run_store import read_events, written_report
from spotdeploy.run.verdict import Outcome
from spotdeploy.state.folder import write_private


@dataclass
class RunRecorder:
    """The files of one run: its events as they come, its reports when the block ends, however it
    ends."""

    log: EventLog = field(default_factory=EventLog)
    """An observer; see `spotdeploy.events.Bus`."""
    folder: Path | None = None
    """Where the files are; None while nothing was begun."""
    outcome: Outcome | None = None
    problems: list[str] = field(default_factory=list)
    """What could not be written, one line each."""

    def begin(self, folder: Path) -> None:
        """Begin the run's folder. Raises HostError when it cannot be made."""
        self.log.open(folder)
        self.folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()
        if self.folder is not None:
            self.problems += [self.log.trouble] if self.log.trouble else []
            self.problems += write_reports(self.folder, self.outcome)


def write_reports(folder: Path, outcome: Outcome | None = None) -> list[str]:
    """Write report.json, junit.xml and report.html from the events in `folder`.

    Without an outcome (a refused, stopped or killed run) they say what the events say. Returns
    what could not be written, one line each; raises nothing. May be repeated.
    """
    try:
        events = read_events(folder)[0]
        if not events and outcome is None:
            return [f"no reports: {folder / EVENTS} has no events"]
        report = build(events, outcome, written_report(folder))
        output = logs(events)
    except Exception as error:  # noqa: BLE001  # see the module's first line
        return [f"no reports: {_message(error)}"]
    jobs: dict[str, Callable[[], bytes]] = {
        **{name: text.encode for name, text in output.items()},
        REPORT: lambda: encode(report),
        JUNIT: lambda: junit_xml(report),
        PAGE: lambda: html_page(report, folder),
    }
    return [problem for name, job in jobs.items() if (problem := write_file(folder / name, job))]


def junit_xml(report: RunReport) -> bytes:
    """The bytes of junit.xml."""
    from spotdeploy.report import junit

    return junit.render(report)


def html_page(report: RunReport, folder: Path, target: Path | None = None) -> bytes:
    """The bytes of report.html, to lie in `folder` or at `target`."""
    from spotdeploy.report.html import page

    return page.render(report, folder, target).encode()


def write_file(path: Path, make: Callable[[], bytes]) -> str:
    """Replace the file at once, so that a reader never sees half of it. Gives why it could not be
    written, or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        write_private(part, make())
        part.replace(path)
    except Exception as error:  # noqa: BLE001  # see the module's first line
        part.unlink(missing_ok=True)
        return f"{path.name} was not written: {_message(error)}"
    return ""


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
