"""`spotdeploy diff`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from spotdeploy.cli import completion
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Run
from spotdeploy.cli.tables import json_text, prefix
from spotdeploy.duration import spell
from spotdeploy.errors import RefusedError
from spotdeploy.matrix.compare import MatrixDifference, compare_cells
from spotdeploy.matrix.report import MatrixReport, is_matrix, read_matrix_report
from spotdeploy.project import Project
from spotdeploy.report.compare import CheckChange, Difference, PhaseChange, compare
from spotdeploy.report.run_store import find_run, read_report

NO_VERDICT: Final = "no verdict"


def command(
    before: Annotated[
        str, typer.Argument(help="A run's id, or its beginning.", autocompletion=completion.runs)
    ],
    after: Run = "last",
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    json: Json = False,
) -> None:
    """Show what changed from one run to another: checks, times."""
    state = Project.open(config, deployment=deployment).state
    folders = [find_run(state, run) for run in (before, after)]
    if any(map(is_matrix, folders)):
        show_cells(compare_cells(*map(_matrix_report, folders)), as_json=json)
    else:
        show_difference(compare(*map(read_report, folders)), as_json=json)


def _matrix_report(folder: Path) -> MatrixReport:
    if not is_matrix(folder):
        raise RefusedError(
            f"run {folder.name} is of no matrix, and the other one is", hint="name another run"
        )
    return read_matrix_report(folder)


def show_cells(difference: MatrixDifference, *, as_json: bool) -> None:
    """Print what changed in each cell."""
    if as_json:
        sys.stdout.write(json_text(difference) + "\n")
        return
    lines = [_head(difference), _verdict(difference.verdicts)]
    for name, one in difference.cells.items():
        lines += [f"{name}: {_verdict(one.verdicts)}", *_changes(one)]
    lines += [f"{name}: only in {difference.after}" for name in difference.added]
    lines += [f"{name}: only in {difference.before}" for name in difference.removed]
    sys.stdout.write("\n".join(lines) + "\n")


def show_difference(difference: Difference, *, as_json: bool) -> None:
    """Print it."""
    text = json_text(difference) if as_json else "\n".join(_lines(difference))
    sys.stdout.write(text + "\n")


def _lines(difference: Difference) -> list[str]:
    return [_head(difference), _verdict(difference.verdicts), *_changes(difference)]


def _head(difference: Difference | MatrixDifference) -> str:
    payload = "the same payload" if difference.same_payload else "another payload"
    return f"{difference.before} -> {difference.after}, {payload}"


def _verdict(verdicts: tuple[str, str]) -> str:
    then, now = verdicts
    return f"verdict: {then}" if then == now else f"verdict: {then} -> {now}"


def _changes(difference: Difference) -> list[str]:
    lines = []
    for group in difference.groups:
        words = f"{group.before or NO_VERDICT} -> {group.after or NO_VERDICT}"
        lines.append(f"  {group.group}: {words}")
    for check in difference.checks:
        counts = f"{_counts(check.before)} -> {_counts(check.after)}"
        lines.append(f"  {_where(check)}: check {check.check}: {counts}")
    for phase in difference.phases:
        word = "slower" if phase.slower else "faster"
        times = f"{spell(round(phase.before, 1))} -> {spell(round(phase.after, 1))}"
        lines.append(f"  {_where(phase)}: {phase.phase} {word}: {times}")
    if not difference.checks and not difference.phases:
        lines.append("  every check and every phase as before")
    return lines


def _where(change: CheckChange | PhaseChange) -> str:
    return f"{prefix(change.group)}{change.provider}"


def _counts(counts: tuple[int, int] | None) -> str:
    return "not asked" if counts is None else f"{counts[0]}/{counts[1]} ok"
