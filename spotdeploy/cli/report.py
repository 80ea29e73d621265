"""`spotdeploy report`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Run
from spotdeploy.cli.streams import printed_json
from spotdeploy.cli.tables import table, verdict_text
from spotdeploy.duration import spell
from spotdeploy.errors import HostError
from spotdeploy.matrix import writer
from spotdeploy.matrix.report import MatrixReport, is_matrix, read_matrix_report, report_bytes
from spotdeploy.model import Verdict
from spotdeploy.project import Project
from spotdeploy.report.event_log import EVENTS, JUNIT, PAGE, REPORT
from spotdeploy.report.github import quoting
from spotdeploy.report.model import (
    BeforeReport,
    GroupReport,
    NodeReport,
    RunReport,
    encode,
    worth_telling,
)
from spotdeploy.report.run_store import find_run, read_report
from spotdeploy.report.writer import html_page, junit_xml, write_reports
from spotdeploy.run.outputs import output_lines
from spotdeploy.run.verdict import told_once
from spotdeploy.text import plain

LINES: Final = 20
"""Of a failed test's output."""
GROUPS: Final = ("GROUP", "VERDICT", "PASSED", "AFTER", "COST")


def command(
    run: Run = "last",
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page here too.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write junit.xml here too.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    json: Json = False,
) -> None:
    """Show how a run ended, and where its report is."""
    folder = find_run(Project.open(config, deployment=deployment).state, run)
    show = show_matrix_report if is_matrix(folder) else show_report
    page = show(folder, as_json=json, html=html, junit=junit)
    if open_it:
        typer.launch(page.resolve().as_uri())


def show_report(
    folder: Path, *, as_json: bool, html: Path | None = None, junit: Path | None = None
) -> Path:
    """Print a run's summary and where its files are; write what is missing, and copies where
    asked. Returns the page's path. Raises RefusedError without events, HostError without space."""
    problems = [] if (folder / PAGE).exists() else write_reports(folder)
    report = read_report(folder)
    if html is not None:
        _write(html, html_page(report, folder, html))
    if junit is not None:
        _write(junit, junit_xml(report))
    _print(folder, encode(report) if as_json else _summary(report), problems)
    return html or folder / PAGE


def show_matrix_report(
    folder: Path, *, as_json: bool, html: Path | None = None, junit: Path | None = None
) -> Path:
    """The same for a matrix."""
    problems = [] if (folder / PAGE).exists() else writer.write_matrix_reports(folder)
    report = read_matrix_report(folder)
    if html is not None:
        _write(html, writer.html_page(report, folder, html))
    if junit is not None:
        _write(junit, writer.junit_xml(report))
    _print(folder, report_bytes(folder) if as_json else _cells(report), problems)
    return html or folder / PAGE


def _print(folder: Path, what: bytes | Sequence[str], problems: Iterable[str]) -> None:
    """Print JSON, or lines and where the files of a run are; then what could not be written."""
    as_json = isinstance(what, bytes)
    if isinstance(what, bytes):
        text = printed_json(what.decode().rstrip(), sys.stdout)
    else:
        names = (PAGE, JUNIT, REPORT, EVENTS)
        files = [f"  {folder / name}" for name in names if (folder / name).exists()]
        text = "\n".join([*what, "", *files])
    with nullcontext() if as_json else quoting(sys.stdout, os.environ):
        sys.stdout.write(text + "\n")
    sys.stderr.writelines(f"warning: {problem}\n" for problem in problems)


def _cells(report: MatrixReport) -> list[str]:
    """A row for each cell, why those that failed did, and the verdict of all."""
    head = f"{report.command} of {report.deployment} on {', '.join(report.providers)}"
    rows = [
        (
            one.name,
            one.title,
            one.report.verdict,
            f"{one.report.passed}/{one.report.desired}",
            spell(round(one.report.seconds, 1)),
        )
        for one in report.cells
    ]
    good = len(report.cells) - len(report.failed)
    untested = report.verdict is Verdict.TESTS_FAILED  # and so no cell began
    failed = () if untested else report.failed
    message = report.message if untested else f"{good} of {len(report.cells)} cells passed"
    took = f"{spell(round(report.seconds, 1))}, cost: {report.cost}"
    return [
        f"{head}, run {report.run}",
        *_before(report.before),
        "",
        table([("CELL", "VALUES", "VERDICT", "NODES", "TIME"), *rows]),
        *(f"  {one.name}: {plain(one.report.message, limit=600)}" for one in failed),
        "",
        verdict_text(report.verdict, message, report.left),
        took,
    ]


def _summary(report: RunReport) -> list[str]:
    head = f"{report.command} of {report.deployment} on {', '.join(report.providers)}"
    lines = [f"{head}, run {report.run}", *_before(report.before)]
    if report.nodes:
        nodes = [("NODE", "PLACE", "VERDICT", "PHASE", "CHECKS", "TIME"), *map(_node, report.nodes)]
        if report.grouped:
            cells = ["GROUP", *(node.group for node in report.nodes)]
            nodes = [(cell, *row) for cell, row in zip(cells, nodes, strict=True)]
        lines += ["", table(nodes), *_why(report.failed)]
    if report.grouped:
        lines += ["", table([GROUPS, *map(_group, report.groups)])]
    if len(report.providers) > 1 and report.checks:
        lines += ["", table(list(_by_provider(report)))]
    if report.outputs:
        lines += ["", "outputs, of the nodes that were kept:", *output_lines(report.outputs, "  ")]
    took = f"{spell(round(report.seconds, 1))}, cost: {report.cost}"
    return [*lines, "", verdict_text(report.verdict, report.message, report.left), took]


def _before(tests: Sequence[BeforeReport]) -> list[str]:
    """What had to pass on this computer, and the end of what failing ones wrote."""
    rows = [
        (one.title, one.how, spell(round(one.seconds, 1)), one.message)
        for one in worth_telling(tests)
    ]
    output = [
        line for one in tests if one.ok is False and one.output for line in one.output.split("\n")
    ]
    shown = [f"  | {line}".rstrip() for line in output[-LINES:]]
    return ["", table([("BEFORE", "ENDED", "TIME", ""), *rows]), *shown] if rows else []


def _node(node: NodeReport) -> tuple[str, ...]:
    good = sum(check.ok for check in node.checks)
    checks = f"{good}/{len(node.checks)}" if node.checks else "-"
    seconds = spell(round(sum(node.seconds.values()), 1))
    return (node.name, node.place, node.verdict or "unfinished", node.phase, checks, seconds)


def _group(group: GroupReport) -> tuple[str, ...]:
    verdict = group.verdict or ("not deployed" if group.waited_for else "unfinished")
    passed = f"{group.passed}/{group.desired}"
    return (group.name, verdict, passed, ",".join(group.after) or "-", str(group.cost))


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


def _why(failed: Iterable[NodeReport]) -> list[str]:
    told = ((node.name, None, plain(node.message, limit=600)) for node in failed)
    return [f"  {line}" for line in told_once(told)]


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise HostError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error
