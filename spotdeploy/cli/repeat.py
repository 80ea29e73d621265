"""Cycles one after another: `cycle --repeat` and `cycle --watch`."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, NoReturn, TextIO

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
from spotdeploy.report.compare import Rate, Repetition, summarize
from spotdeploy.report.run_store import run_folders
from spotdeploy.run.verdict import worst

USAGE: Final = 2


def run_again(options: RunOptions, times: int, *, watch: bool) -> NoReturn:
    """Repeat or watch; not both. Raises ConfigError for both."""
    if options.failed:
        raise ConfigError("--failed is one cycle", hint="leave out --repeat and --watch")
    if not watch:
        repeat(options, times)
    if times > 1:
        raise ConfigError("--repeat and --watch exclude each other", hint="leave one of them out")
    watch_and_run(options)


def repeat(options: RunOptions, times: int) -> NoReturn:
    """Run so many cycles, say what they come to, and exit with the worst of their codes.

    A stopped cycle ends it. Raises SpotdeployError for a mistake in the config.
    """
    state = options.open_project().state
    before = set(run_folders(state))
    codes: list[int] = []
    stopped = False
    while len(codes) < times and not stopped:
        options.screen_stream.write(f"cycle {len(codes) + 1} of {times}\n")
        with stop_signals(options) as signals:
            codes.append(_one(options, signals))
        stopped = signals.heard
    folders = [folder for folder in run_folders(state) if folder not in before]
    reports = [
        report
        for folder in folders
        for report in reports_of(folder)
        if report.command == "cycle" and report.run
    ]
    show_repetition(summarize(reports), options.screen_stream, as_json=options.json)
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
                code = _one(options, signals, sys.stdout if options.json else None, stay=True)
            if signals.heard:
                raise typer.Exit(worst([code, stopped]))
            asyncio.run(_wait(options, seen))
    except KeyboardInterrupt:
        options.screen_stream.write("\n")
    raise typer.Exit(stopped)


def _one(
    options: RunOptions, signals: StopSignals, data: TextIO | None = None, *, stay: bool = False
) -> int:
    """The exit code of one cycle. A refusal is shown; a mistake in the config ends it all, unless
    the next change may mend it."""
    try:
        return perform(options, signals, data).exit_code
    except SpotdeployError as error:
        if error.exit_code == USAGE and not stay:
            raise
        errors.show(error)
        return error.exit_code


async def _wait(options: RunOptions, seen: str) -> None:
    def ready() -> None:
        options.screen_stream.write(
            f"waiting for a change in {options.config.name}, the payload or the files of checks; "
            "Ctrl-C to stop\n"
        )
        options.screen_stream.flush()

    await until_changed(options.config, seen, ready)


def show_repetition(repetition: Repetition, stream: TextIO, *, as_json: bool) -> None:
    """Print the table to the stream, or JSON to standard output."""
    if as_json:
        text = json_text(repetition)
        sys.stdout.write(text + "\n")
        return
    rows = [("", "PASSED", "RATE", "FLAKE"), *map(_row, (repetition.cycles, *repetition.checks))]
    lines = ["", table(rows), ""]
    for name, times in (("boot", repetition.boot), ("cycle", repetition.cycle)):
        if times is not None:
            spelled = [spell(round(s, 1)) for s in (times.p50, times.p90, times.longest)]
            lines.append(
                f"{name}: half within {spelled[0]}, nine of ten within {spelled[1]}, "
                f"all within {spelled[2]}"
            )
    stream.write("\n".join(lines) + "\n")


def _row(one: Rate) -> tuple[str, ...]:
    share = f"{100 * one.good / one.asked:.0f}%" if one.asked else "-"
    return (one.name, f"{one.good}/{one.asked}", share, f"{one.flake:.2f}")
