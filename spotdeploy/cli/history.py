"""`spotdeploy history`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json
from spotdeploy.cli.tables import json_text, prefix, table
from spotdeploy.duration import spell
from spotdeploy.matrix.report import MatrixReport, is_matrix, written_matrix_report
from spotdeploy.project import Project
from spotdeploy.report.kept import kept_of
from spotdeploy.report.run_store import RUNS, written_report
from spotdeploy.state.journal import Journal, JournalNode, RunRecord
from spotdeploy.text import counted

HEADER: Final = ("RUN", "BEGAN", "COMMAND", "PROVIDERS", "VERDICT", "NODES", "TIME", "COST")


class GroupLine(msgspec.Struct, frozen=True):
    """One group of a run. Its verdict is None while it has none, and when it was not deployed."""

    name: str
    verdict: str | None
    passed: int
    desired: int = msgspec.field(name="wanted")


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs.")] = 20,
    json: Json = False,
) -> None:
    """List the runs of this deployment, newest first."""
    project = Project.open(config, deployment=deployment)
    journal = Journal(project.journal_path)
    records = journal.runs(project.deployment)
    nodes = journal.every_node()
    journal.close()
    show_history(project.state, records[:limit], nodes, as_json=json)


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
    groups: tuple[GroupLine, ...] = ()
    kept_cost: str = ""
    """What the nodes that it made and kept cost after it, so far; empty where it kept none."""
    kept_usd: float | None = None
    kept_standing: int = 0
    """How many of those may still run."""


class MatrixLine(Line, frozen=True):
    """One run of a matrix; its nodes are those of all cells."""

    cells: int = 0


def show_history(
    state: Path,
    records: Sequence[RunRecord],
    nodes: Sequence[JournalNode] = (),
    *,
    as_json: bool,
    now: float | None = None,
) -> None:
    """Print the runs, newest first. `nodes` are those that the journal knows, gone or not."""
    lines = [_line(state, record, nodes, now or time.time()) for record in records]
    if as_json:
        text = json_text(lines)
    elif not lines:
        text = "no runs"
    else:
        rows = [HEADER, *map(_row, lines)]
        if any(line.kept_cost for line in lines):
            cells = ["KEPT", *map(_kept, lines)]
            rows = [(*row, cell) for cell, row in zip(cells, rows, strict=True)]
        if any(prefix(group.name) for line in lines for group in line.groups):
            cells = ["GROUPS", *(_groups(line) for line in lines)]
            rows = [(*row, cell) for cell, row in zip(cells, rows, strict=True)]
        text = table(rows)
    sys.stdout.write(text + "\n")


def _line(state: Path, record: RunRecord, nodes: Sequence[JournalNode], now: float) -> Line:
    folder = state / RUNS / record.id
    report = written_matrix_report(folder) if is_matrix(folder) else written_report(folder)
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
    line = msgspec.structs.replace(
        known,
        providers=report.providers,
        passed=report.passed,
        desired=report.desired,
        cost=str(report.cost),
    )
    reports = [c.report for c in report.cells] if isinstance(report, MatrixReport) else [report]
    kept = kept_of(reports, nodes, now)
    if kept.cost.nodes:
        line = msgspec.structs.replace(
            line,
            kept_cost=str(kept.cost),
            kept_usd=kept.cost.usd if kept.cost.known else None,
            kept_standing=kept.standing,
        )
    if isinstance(report, MatrixReport):
        return MatrixLine(**msgspec.structs.asdict(line), cells=len(report.cells))
    groups = tuple(
        GroupLine(group.name, group.verdict, group.passed, group.desired) for group in report.groups
    )
    return msgspec.structs.replace(line, groups=groups)


def _kept(line: Line) -> str:
    so_far = f" so far, {counted(line.kept_standing, 'node')}" if line.kept_standing else ""
    return f"{line.kept_cost}{so_far}" if line.kept_cost else "-"


def _groups(line: Line) -> str:
    named = [group for group in line.groups if prefix(group.name)]
    return ", ".join(f"{group.name} {group.passed}/{group.desired}" for group in named) or "-"


def _row(line: Line) -> tuple[str, ...]:
    took = "-" if line.ended_at is None else spell(round(line.ended_at - line.started_at, 1))
    nodes = "-" if line.passed is None else f"{line.passed}/{line.desired}"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(line.started_at))
    return (
        line.run,
        began,
        f"{line.command} ({counted(line.cells, 'cell')})"
        if isinstance(line, MatrixLine)
        else line.command,
        ",".join(line.providers) or "-",
        line.verdict or "unfinished",
        nodes,
        took,
        line.cost or "-",
    )
