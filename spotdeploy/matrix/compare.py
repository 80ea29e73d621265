"""What changed between two runs of a matrix, cell by cell."""

from __future__ import annotations

import msgspec

from spotdeploy.matrix.report import MatrixReport
from spotdeploy.report.compare import Difference, compare


class MatrixDifference(msgspec.Struct, frozen=True):
    """From one run of a matrix to another."""

    before: str
    after: str
    verdicts: tuple[str, str]
    same_payload: bool
    cells: dict[str, Difference]
    """Those of both runs, by name."""
    added: tuple[str, ...]
    """Those of the later one alone."""
    removed: tuple[str, ...]
    """Those of the earlier one alone."""


def compare_cells(before: MatrixReport, after: MatrixReport) -> MatrixDifference:
    """The difference between two runs of a matrix. Cells are the same when their names are."""
    old = {cell.name: cell.report for cell in before.cells}
    new = {cell.name: cell.report for cell in after.cells}
    return MatrixDifference(
        before.run,
        after.run,
        (before.verdict, after.verdict),
        before.digest == after.digest,
        {name: compare(old[name], new[name]) for name in new if name in old},
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
    )
