"""From a command line to a run: screen, signals, reports, exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NoReturn, TextIO

import typer

from spotdeploy.api import Outcome, Project, RunRecorder
from spotdeploy.cli import errors
from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.cells_screen import cells_summary, new_cells_screen
from spotdeploy.cli.screen import DESTROY, PlainScreen, Screen
from spotdeploy.cli.stopping import StopSignals
from spotdeploy.cli.streams import printed_json
from spotdeploy.config.schema import Notify
from spotdeploy.errors import ConfigError
from spotdeploy.matrix.failed import failed_cells, failed_deployment
from spotdeploy.matrix.project import Matrix
from spotdeploy.matrix.report import is_matrix, read_matrix_report, report_bytes
from spotdeploy.matrix.run import MatrixOutcome, run_cells
from spotdeploy.matrix.writer import MatrixRecorder
from spotdeploy.report import github
from spotdeploy.report.event_log import PAGE, EventStream, event_stream
from spotdeploy.report.run_store import read_report
from spotdeploy.text import counted


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for on the command line."""

    command: str
    """A method of `api.Project`."""
    config: Path
    providers: list[str] | None = None
    json: bool = False
    keep: str | None = None
    evidence: str | None = None
    events: str | None = None
    """Where events are written besides the run's folder; "-" is standard output."""
    wait: bool = False
    """Wait for a run on another computer."""
    only: list[str] | None = None
    """Values that select cells of the matrix."""
    failed: bool = False
    """Run again what did not pass in the last cycle."""
    deployment: str | None = None
    """The deployment's name, instead of the config's."""

    def __post_init__(self) -> None:
        """Refuse two kinds of data on one stream."""
        if self.json and self.events == "-":
            raise ConfigError(
                "--json and --events - would both write to standard output",
                hint="leave one of them out, or give --events a file",
            )

    @property
    def screen_stream(self) -> TextIO:
        """Standard output, unless data goes there."""
        return sys.stderr if self.json or self.events == "-" else sys.stdout

    @property
    def destroy(self) -> str:
        """The command that ends what stands."""
        return f"{DESTROY} --deployment {self.deployment}" if self.deployment else DESTROY

    def open_project(self) -> Project:
        """The project, the options above what its config says."""
        return Project.open(
            self.config,
            deployment=self.deployment,
            providers=self.providers,
            keep=self.keep,
            evidence=self.evidence,
        )


def run_command(options: RunOptions) -> NoReturn:
    """Run a command from beginning to end and leave the process with its exit code.

    Raises SpotdeployError for what was refused.
    """
    with stop_signals(options) as signals:
        outcome = perform(options, signals, sys.stdout if options.json else None)
    raise typer.Exit(outcome.exit_code)


def stop_signals(options: RunOptions) -> StopSignals:
    """What takes the signals of a run, or of one of several."""
    config = f" --config {options.config.absolute()}"
    return StopSignals(options.destroy.replace(DESTROY, DESTROY + config))


def perform(
    options: RunOptions,
    signals: StopSignals,
    data: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Outcome | MatrixOutcome:
    """Run a command from beginning to end, its reports included, and say how it ended. What
    report.json holds is written to `data` too, even for a run that was refused once it had begun.

    Raises SpotdeployError for what was refused.
    """
    project = options.open_project()
    if matrix := matrix_of(project, options.only):
        return _perform_cells(options, matrix, signals, data, environment)
    if options.failed and not failed_deployment(project):
        _nothing_failed(options)
    recorder, screen = RunRecorder(), new_screen(options.screen_stream)
    with (
        _notifying(options, project, recorder, environment),
        reporting(options.screen_stream, recorder, environment, data),
        _events(options) as extra,
        screen,
    ):
        observers = (screen, *([extra] if extra else ()))
        more = {"wait": True} if options.wait else {}
        work = getattr(project, options.command)(observers=observers, recorder=recorder, **more)
        outcome: Outcome = asyncio.run(signals.until_stopped(work, screen.say))
        screen.conclude(outcome, options.destroy)
    return outcome


def _perform_cells(
    options: RunOptions,
    matrix: Matrix[Project],
    signals: StopSignals,
    data: TextIO | None,
    environment: Mapping[str, str],
) -> MatrixOutcome:
    """As `perform`, for a matrix."""
    if options.failed:
        run, names = failed_cells(matrix.project)
        matrix = matrix.named(names)
        if not matrix.everything:
            _nothing_failed(options, "of these cells " if names else "")
        again = counted(len(matrix.everything), "cell")
        options.screen_stream.write(f"{again} of run {run} once more\n")
    recorder, screen = MatrixRecorder(), new_cells_screen(options.screen_stream)
    with (
        _notifying(options, matrix.project, recorder, environment),
        reporting(options.screen_stream, recorder, environment, data),
        _events(options) as extra,
        screen,
    ):
        observers = (screen, *([extra] if extra else ()))
        work = run_cells(
            matrix, options.command, wait=options.wait, observers=observers, recorder=recorder
        )
        outcome = asyncio.run(signals.until_stopped(work, screen.say))
        screen.end(cells_summary(outcome, options.destroy), outcome.exit_code)
    for bug in (cell.bug for cell in outcome.cells if cell.bug):
        errors.show_trace(bug)
    return outcome


@contextmanager
def reporting(
    stream: TextIO,
    recorder: RunRecorder | MatrixRecorder,
    environment: Mapping[str, str],
    data: TextIO | None,
) -> Iterator[None]:
    """At the end, however it ends, say where the reports of what began are, tell GitHub, and write
    what report.json holds to `data`. Trouble with a report is a warning and changes nothing else.
    """
    try:
        with github.quoting(stream, environment):
            yield
    finally:
        if (folder := recorder.folder) is not None:
            problems = [*recorder.problems, *_report(folder, stream, environment)]
            problems += _hand_over(folder, data) if data else []
            sys.stderr.writelines(f"warning: {problem}\n" for problem in problems)


def new_screen(stream: TextIO) -> Screen:
    """The screen that fits the stream."""
    if stream.isatty():
        from spotdeploy.cli.live import LiveScreen

        return LiveScreen(stream)
    return PlainScreen(stream)


@contextmanager
def _events(options: RunOptions) -> Iterator[EventStream | None]:
    if options.events is None:
        yield None
        return
    stream = event_stream(options.events)
    try:
        yield stream
    finally:
        stream.close()


def _report(folder: Path, stream: TextIO, environment: Mapping[str, str]) -> list[str]:
    try:
        if (folder / PAGE).exists():
            stream.write(f"report: {folder / PAGE}\n")
    except (OSError, ValueError):  # a reader that went away, or a closed stream
        stream = StringIO()
    if not github.asked(environment):
        return []
    try:
        if is_matrix(folder):
            from spotdeploy.matrix.github import tell

            tell(read_matrix_report(folder), stream, environment)
        else:
            github.tell(read_report(folder), folder, stream, environment)
    except Exception as error:  # noqa: BLE001  # a report never changes how a run ended
        return [f"no summary for GitHub: {type(error).__name__}: {error}"]
    return []


@contextmanager
def _notifying(
    options: RunOptions,
    project: Project,
    recorder: RunRecorder | MatrixRecorder,
    environment: Mapping[str, str],
) -> Iterator[None]:
    """At the end of what began, however it ends, tell whom the config names. Trouble with it is a
    warning and changes nothing else. A destroy runs nothing that a config names."""
    notify = Notify() if options.command == "destroy" else project.config.notify
    try:
        yield
    finally:
        if recorder.folder is not None and notify != Notify():
            problems = _notify(project, recorder.folder, environment)
            sys.stderr.writelines(f"warning: {problem}\n" for problem in problems)


def _notify(project: Project, folder: Path, environment: Mapping[str, str]) -> list[str]:
    from spotdeploy.cli.notify import news, tell

    try:
        report = read_matrix_report(folder) if is_matrix(folder) else read_report(folder)
        told = news(report, folder)
        return tell(project.config.notify, told, project.settings.folder, environment)
    except Exception as error:  # noqa: BLE001  # a report never changes how a run ended
        return [f"nobody was notified: {type(error).__name__}: {error}"]


def _nothing_failed(options: RunOptions, what: str = "") -> NoReturn:
    """Say that there is nothing to run again, and end well."""
    text = f"nothing {what}failed in the last cycle, so nothing is run again\n"
    options.screen_stream.write(text)
    raise typer.Exit


def _hand_over(folder: Path, data: TextIO) -> list[str]:
    try:
        data.write(printed_json(report_bytes(folder).decode(), data))
        data.flush()
    except Exception as error:  # noqa: BLE001  # a report never changes how a run ended
        return [f"no JSON: {type(error).__name__}: {error}"]
    return []
