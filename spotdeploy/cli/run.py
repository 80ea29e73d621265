"""Conducting a run: lock, session, signals, screen, record, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import msgspec
import typer

from spotdeploy.cli.opening import new_registry, opened, read_redactor, read_settings
from spotdeploy.cli.screen import Screen, new_screen
from spotdeploy.config.schema import Keep, Settings
from spotdeploy.errors import ConfigError, HostError, SpotdeployError
from spotdeploy.events import Bus, Note, Observer, RunEnded, RunStarted
from spotdeploy.payload.manifest import Manifest
from spotdeploy.phases.plan import read_plan
from spotdeploy.redact import Redactor
from spotdeploy.report.event_log import PAGE, EventLog, event_stream
from spotdeploy.report.run_store import RUNS
from spotdeploy.run.context import Plan, Session
from spotdeploy.run.verdict import Outcome, Verdict
from spotdeploy.state.lock import locked

Operation = Callable[[Session, Plan, Keep], Awaitable[Outcome]]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EMPTY_PLAN: Final = Plan(Manifest(()), ())


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for on the command line."""

    command: str
    config: Path
    providers: list[str] | None
    json: bool
    keep: str | None = None
    needs_plan: bool = True
    """False for what must work even when the payload is broken."""
    evidence: str | None = None
    """Of which nodes, instead of the config's word."""
    events: str | None = None
    """Where events are written besides the run's folder; "-" is standard output."""

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


def run_command(options: RunOptions, operation: Operation) -> None:
    """Run an operation from beginning to end and leave the process with its exit code.

    Raises SpotdeployError for what was refused.
    """
    outcome = perform(options, operation, sys.stdout if options.json else None)
    raise typer.Exit(outcome.exit_code)


def perform(options: RunOptions, operation: Operation, data: TextIO | None = None) -> Outcome:
    """Run an operation from beginning to end, its reports included, and say how it ended. What
    report.json holds is written to `data` too, even for a run that was refused once it had begun.

    Raises SpotdeployError for what was refused.
    """
    settings, providers = read_settings(options.config, options.providers)
    settings = _collecting(settings, options)
    registry = new_registry(settings)
    keep: Keep = options.keep or settings.config.keep  # type: ignore[assignment]  # KeepChoice's values
    plan = read_plan(registry, settings) if options.needs_plan else EMPTY_PLAN
    redactor = read_redactor(registry, settings, providers, plan.checks)
    with recording(options.screen_stream, redactor, options.events, data=data) as record:
        with (
            locked(settings.config.deployment, options.command),
            opened(settings, registry, providers, record.bus, redactor) as session,
            record.screen,
        ):
            record.begin(session.settings.state, session.run)
            outcome = asyncio.run(_run(session, plan, options, operation, keep, record.screen))
        record.conclude(redactor.anything(outcome))
    return outcome


def _collecting(settings: Settings, options: RunOptions) -> Settings:
    """The settings with the wish's word on evidence."""
    if options.evidence is None:
        return settings
    evidence = msgspec.structs.replace(settings.config.evidence, collect=options.evidence)
    config = msgspec.structs.replace(settings.config, evidence=evidence)
    return msgspec.structs.replace(settings, config=config)


async def _run(
    session: Session,
    plan: Plan,
    options: RunOptions,
    operation: Operation,
    keep: Keep,
    screen: Screen,
) -> Outcome:
    digest = plan.manifest.digest
    session.journal.begin_run(session.run, session.deployment, options.command, digest)
    session.bus.emit(
        RunStarted(
            run=session.run,
            command=options.command,
            deployment=session.deployment,
            providers=session.providers,
            digest=digest,
            desired=session.desired,
            checks=tuple(check.name for check in plan.checks),
        )
    )
    try:
        outcome = await _until_stopped(session, operation(session, plan, keep), screen)
    except SpotdeployError as error:
        _end(session, "refused", error.exit_code, error.message)
        raise
    _end(session, outcome.verdict, outcome.exit_code, outcome.message)
    return outcome


def _end(session: Session, verdict: str, exit_code: int, message: str) -> None:
    """Note how the run ended. A journal that cannot be written does not change it."""
    try:
        session.journal.end_run(session.run, verdict, exit_code)
    except HostError as error:
        session.bus.emit(Note(text=error.message, warning=True))
    session.bus.emit(
        RunEnded(run=session.run, verdict=verdict, exit_code=exit_code, detail=message)
    )


async def _until_stopped(session: Session, work: Awaitable[Outcome], screen: Screen) -> Outcome:
    """Await the work. The first signal stops it cleanly, the second at once."""
    task = asyncio.ensure_future(work)
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            screen.say("Stopping: nodes end by policy; press Ctrl-C again to stop at once.")
            task.cancel()
        else:
            screen.close()
            sys.stderr.write(
                f"stopped at once; nodes may be left\ntry: spotdeploy destroy "
                f"--config {session.settings.path}\n"
            )
            sys.stderr.flush()
            os._exit(Verdict.STOPPED.exit_code)

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        message = "stopped by the user; nothing was changed"
        return Outcome(session.run, session.deployment, Verdict.STOPPED, message)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


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
