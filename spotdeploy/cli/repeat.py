"""Cycles one after another: `cycle --repeat` and `cycle --watch`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn, TextIO

import msgspec
import typer

from spotdeploy.cli import errors
from spotdeploy.cli.file_watch import fingerprint, until_changed
from spotdeploy.cli.run import RunOptions, perform, stop_signals
from spotdeploy.cli.stopping import StopSignals
from spotdeploy.cli.tables import json_text, table
from spotdeploy.duration import spell
from spotdeploy.errors import ConfigError, SpotdeployError
from spotdeploy.matrix.report import reports_of
from spotdeploy.model import Verdict
from spotdeploy.report.repetition import Failure, Rate, Repetition, Times, summarize
from spotdeploy.report.run_store import RUNS, run_folders
from spotdeploy.report.writer import write_file
from spotdeploy.run.verdict import worst
from spotdeploy.text import below, counted

USAGE: Final = 2
WAYS: Final = 5
"""How many ways in which something failed are shown, and..."""
WHERE: Final = 6
"""...where it did so; the file has all."""


def run_again(options: RunOptions, times: int, *, watch: bool) -> NoReturn:
    """Repeat or watch; not both. Raises ConfigError for both."""
    if options.failed:
        raise ConfigError(
            "--failed is one cycle, and --repeat and --watch are several",
            hint="leave one of them out",
        )
    if not watch:
        repeat(options, times)
    if times > 1:
        raise ConfigError("--repeat and --watch exclude each other", hint="leave one of them out")
    watch_and_run(options)


def repeat(options: RunOptions, times: int) -> NoReturn:
    """Run so many cycles, say what they come to, and exit with the worst of their codes.

    A stopped cycle ends it, and so does one whose tests failed: nodes have no say in that. Raises
    SpotdeployError for a mistake in the config.
    """
    state = options.open_project().state
    before = set(run_folders(state))
    codes: list[int] = []
    stopped = False
    while len(codes) < times and not stopped:
        options.screen_stream.write(f"cycle {len(codes) + 1} of {times}\n")
        with stop_signals(options) as signals:
            code, verdict = _one(options, signals)
        codes.append(code)
        stopped = signals.heard or verdict is Verdict.TESTS_FAILED
    folders = [folder for folder in run_folders(state) if folder not in before]
    reports = [
        report
        for folder in folders
        for report in reports_of(folder)
        if report.command == "cycle" and report.run
    ]
    repetition = summarize(reports)
    show_repetition(repetition, options.screen_stream, as_json=options.json)
    _keep(repetition, state / RUNS, options.screen_stream)
    raise typer.Exit(worst(codes))


def watch_and_run(options: RunOptions) -> NoReturn:
    """Run a cycle, then another each time something it is made of changed, until stopped.

    Exits as stopped, or with what outranks it in the cycle that was stopped.
    """
    stopped = Verdict.STOPPED.exit_code
    try:
        while True:
            seen = fingerprint(options.config)
            with stop_signals(options) as signals:
                data = sys.stdout if options.json else None
                code, _ = _one(options, signals, data, stay=True)
            if signals.heard:
                raise typer.Exit(worst([code, stopped]))
            asyncio.run(_wait(options, seen))
    except KeyboardInterrupt:
        options.screen_stream.write("\n")
    raise typer.Exit(stopped)


def _one(
    options: RunOptions, signals: StopSignals, data: TextIO | None = None, *, stay: bool = False
) -> tuple[int, Verdict]:
    """The exit code and the verdict of one cycle. A refusal is shown; a mistake in the config ends
    it all, unless the next change may mend it."""
    try:
        outcome = perform(options, signals, data)
    except SpotdeployError as error:
        if error.exit_code == USAGE and not stay:
            raise
        errors.show(error)
        return error.exit_code, Verdict.REFUSED
    return outcome.exit_code, outcome.verdict


async def _wait(options: RunOptions, seen: str) -> None:
    def ready() -> None:
        options.screen_stream.write(
            f"waiting for a change in {options.config.name}, the payload, before.files or the "
            "files of checks; Ctrl-C to stop\n"
        )
        options.screen_stream.flush()

    await until_changed(options.config, seen, ready)


def show_repetition(repetition: Repetition, stream: TextIO, *, as_json: bool) -> None:
    """Print the table to the stream, or JSON to standard output."""
    if as_json:
        text = json_text(repetition)
        sys.stdout.write(text + "\n")
        return
    rates = (repetition.cycles, *repetition.nodes, *repetition.checks)
    rows = [("", "PASSED", "RATE", "FLAKE"), *map(_row, rates)]
    times = [("", "COUNT", "MIN", "MEDIAN", "MAX"), *map(_times, repetition.phases)]
    lines = ["", table(rows), *(line for one in rates for line in _failures(one))]
    stream.write("\n".join([*lines, "", table(times)]) + "\n")


def _row(one: Rate) -> tuple[str, ...]:
    share = f"{100 * one.good / one.asked:.0f}%" if one.asked else "-"
    return (one.name, f"{one.good}/{one.asked}", share, f"{one.flake:.2f}")


def _times(one: Times) -> tuple[str, ...]:
    seconds = (one.shortest, one.median, one.longest)
    return (one.name, str(one.count), *(spell(round(value, 1)) for value in seconds))


def _failures(one: Rate) -> Iterator[str]:
    """How something failed: the commonest ways, each with where it did so."""
    if one.failures:
        yield f"\n{one.name} failed:"
    for failure in one.failures[:WAYS]:
        yield f"  {failure.count} times: {below(failure.message, limit=300)}{_where(failure)}"
    if one.failures[WAYS:]:
        yield f"  and in {counted(len(one.failures) - WAYS, 'other way')}"


def _where(failure: Failure) -> str:
    named = ", ".join(failure.where[:WHERE])
    left = len(failure.where) - WHERE
    return f"\n      in {named}{f' and {left} more' if left > 0 else ''}"


def _keep(repetition: Repetition, runs: Path, stream: TextIO) -> None:
    """Write it among the runs. Trouble with that is a warning, and changes no exit code."""
    if not repetition.runs:
        return
    path = runs / f"repeat-{repetition.runs[0]}.json"
    text = msgspec.json.format(msgspec.json.encode(repetition))
    if problem := write_file(path, lambda: text):
        sys.stderr.write(f"warning: {problem}\n")
    else:
        stream.write(f"repetition: {path}\n")
