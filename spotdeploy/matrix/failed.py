"""What failed in the last cycle, to be run again: `cycle --failed`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from spotdeploy.errors import RefusedError
from spotdeploy.matrix.report import is_matrix, read_matrix_report
from spotdeploy.model import Verdict
from spotdeploy.project import Project
from spotdeploy.state.journal import Journal, RunRecord

CYCLE: Final = "cycle"


def failed_deployment(project: Project) -> str:
    """The last cycle's id when it did not pass, else nothing.

    Raises RefusedError when there was none, or it was a matrix.
    """
    record, folder = _last(project)
    if is_matrix(folder):
        raise RefusedError(
            f"the last cycle, {record.id}, was of a matrix, and {project.path.name} has none",
            hint="run 'spotdeploy cycle'",
        )
    return "" if record.verdict == Verdict.PASSED else record.id


def failed_cells(project: Project) -> tuple[str, tuple[str, ...]]:
    """The last cycle's id, and the names of its cells that did not pass; those that never began or
    never ended did not.

    Raises RefusedError when there was none, or it was of no matrix.
    """
    record, folder = _last(project)
    if not is_matrix(folder):
        raise RefusedError(
            f"the last cycle, {record.id}, was of no matrix", hint="run 'spotdeploy cycle'"
        )
    return record.id, tuple(cell.name for cell in read_matrix_report(folder).failed)


def _last(project: Project) -> tuple[RunRecord, Path]:
    records: list[RunRecord] = []
    if project.journal_path.exists():
        with closing(Journal(project.journal_path)) as journal:
            records = journal.runs(project.deployment)
    for record in records:
        if record.command == CYCLE:
            return record, project.runs / record.id
    raise RefusedError(
        f"no cycle of {project.deployment} is known here", hint="run 'spotdeploy cycle'"
    )
