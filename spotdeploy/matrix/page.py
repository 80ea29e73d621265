"""report.html of a matrix: cells by checks, each with a link to its own report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from spotdeploy.matrix.report import CellReport, MatrixReport
from spotdeploy.model import Verdict
from spotdeploy.report.event_log import PAGE
from spotdeploy.report.html.matrix import Total
from spotdeploy.report.html.page import HEADLINES, TONES, files_of, logs_of, rendered, root_of
from spotdeploy.report.model import RunReport, worth_telling

SHOWN = 400
"""Characters of why a cell failed; its own page has all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cell."""

    cell: CellReport
    tone: str
    link: str
    """Its own page; empty when it has none."""
    totals: tuple[Total, ...]
    """A check on all its nodes, in the order of the report's checks."""
    why: str


def render(report: MatrixReport, folder: Path, target: Path | None = None) -> str:
    """The page for a run whose folder is `folder`. `target` is where the page will lie, when that
    is not the folder itself: its links lead from there."""
    root = root_of(folder, target)
    return rendered(
        "matrix.html.j2",
        report=report,
        headline=HEADLINES[report.verdict],
        tone=TONES.get(report.verdict, "muted"),
        rows=[_row(cell, report.checks, folder, root) for cell in report.cells],
        root=root,
        before=worth_telling(report.before),
        logs=logs_of(report.before, folder),
        files=files_of(folder, root),
    )


def totals(report: RunReport, checks: Sequence[str]) -> tuple[Total, ...]:
    """Each check on all nodes of a run: how many it was good on, of how many it was asked."""
    answers = [answer for node in report.nodes for answer in node.checks]
    counted = ([a.ok and a.settled for a in answers if a.name == name] for name in checks)
    return tuple(Total(sum(good), len(good)) for good in counted)


def _row(cell: CellReport, checks: Sequence[str], folder: Path, root: str) -> Row:
    page = f"{cell.folder}/{PAGE}"
    there = bool(cell.folder) and (folder / page).exists()
    verdict = cell.report.verdict
    return Row(
        cell,
        TONES.get(verdict, "muted"),
        f"{root}{quote(page)}" if there else "",
        totals(cell.report, checks),
        "" if verdict is Verdict.PASSED else cell.report.message[:SHOWN],
    )
