"""The screens of `spotdeploy report` and `spotdeploy history`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from spotdeploy.cli.tables import table
from spotdeploy.duration import spell
from spotdeploy.errors import HostError
from spotdeploy.report.event_log import EVENTS, JUNIT, PAGE, REPORT
from spotdeploy.report.model import NodeReport, RunReport, encode
from spotdeploy.report.run_store import RUNS, read_report, read_story, written_report
from spotdeploy.report.writer import html_page, junit_xml, write_reports
from spotdeploy.state.journal import RunRecord
from spotdeploy.text import plain

HEADER = ("RUN", "BEGAN", "COMMAND", "PROVIDERS", "VERDICT", "NODES", "TIME", "COST")


class Line(msgspec.Struct, frozen=True):
    """One run as history shows it. Times are Unix seconds."""

    run: str
    command: str
    started_at: float
    ended_at: float | None
    verdict: str | None
    exit_code: int | None
    providers: tuple[str, ...] = ()
    passed: int | None = None
    desired: int | None = msgspec.field(default=None, name="wanted")
    cost: str = ""


def show_report(
    folder: Path, *, as_json: bool, html: Path | None = None, junit: Path | None = None
) -> Path:
    """Print a run's summary and where its files are; write what is missing, and copies where
    asked. Returns the page's path. Raises RefusedError without events, HostError without space."""
    story = read_story(folder)
    problems = [] if (folder / PAGE).exists() else write_reports(folder)
    report = read_report(folder)
    if html is not None:
        _write(html, html_page(story, report, folder, html))
    if junit is not None:
        _write(junit, junit_xml(story, report))
    if as_json:
        text = encode(report).decode().rstrip()
    else:
        names = (PAGE, JUNIT, REPORT, EVENTS)
        files = [f"  {folder / name}" for name in names if (folder / name).exists()]
        text = "\n".join([*_summary(report), "", *files])
    sys.stdout.write(text + "\n")
    sys.stderr.writelines(f"warning: {problem}\n" for problem in problems)
    return html or folder / PAGE


def show_history(state: Path, records: Sequence[RunRecord], *, as_json: bool) -> None:
    """Print the runs, newest first."""
    lines = [_line(state, record) for record in records]
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(lines)).decode()
    elif not lines:
        text = "no runs"
    else:
        text = table([HEADER, *map(_row, lines)])
    sys.stdout.write(text + "\n")


def _summary(report: RunReport) -> list[str]:
    head = f"{report.command} of {report.deployment} on {', '.join(report.providers)}"
    lines = [f"{head}, run {report.run}"]
    if report.nodes:
        lines += [
            "",
            table(
                [("NODE", "PLACE", "VERDICT", "PHASE", "CHECKS", "TIME"), *map(_node, report.nodes)]
            ),
        ]
        lines += [_why(node) for node in report.nodes if node.verdict not in ("", "passed")]
    if len(report.providers) > 1 and report.checks:
        lines += ["", table(list(_by_provider(report)))]
    message = f": {plain(report.message, limit=2000)}" if report.message else ""
    took = f"{spell(round(report.seconds, 1))}, cost: {report.cost}"
    return [*lines, "", f"{report.verdict.upper()}{message}", took]


def _node(node: NodeReport) -> tuple[str, ...]:
    good = sum(check.ok for check in node.checks)
    checks = f"{good}/{len(node.checks)}" if node.checks else "-"
    seconds = spell(round(sum(node.seconds.values()), 1))
    place = node.zone or node.location
    place = place if place == node.provider else f"{node.provider} {place}"
    return (node.name, place, node.verdict or "unfinished", node.phase, checks, seconds)


def _by_provider(report: RunReport) -> Iterator[tuple[str, ...]]:
    """Checks by providers: how many nodes each was good on, of how many it was asked."""
    yield ("CHECK", *report.providers)
    for name in report.checks:
        answers = [
            [
                check.ok
                for node in report.nodes
                if node.provider == provider
                for check in node.checks
                if check.name == name
            ]
            for provider in report.providers
        ]
        yield (name, *(f"{sum(oks)}/{len(oks)}" if oks else "-" for oks in answers))


def _why(node: NodeReport) -> str:
    return f"  {node.name}: {plain(node.message, limit=600)}"


def _line(state: Path, record: RunRecord) -> Line:
    report = written_report(state / RUNS / record.id)
    known = Line(
        record.id,
        record.command,
        record.started_at,
        record.ended_at,
        record.verdict,
        record.exit_code,
    )
    if report is None:
        return known
    return msgspec.structs.replace(
        known,
        providers=report.providers,
        passed=report.passed,
        desired=report.desired,
        cost=str(report.cost),
    )


def _row(line: Line) -> tuple[str, ...]:
    took = "-" if line.ended_at is None else spell(round(line.ended_at - line.started_at, 1))
    nodes = "-" if line.passed is None else f"{line.passed}/{line.desired}"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(line.started_at))
    return (
        line.run,
        began,
        line.command,
        ",".join(line.providers) or "-",
        line.verdict or "unfinished",
        nodes,
        took,
        line.cost or "-",
    )


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise HostError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error
