"""The report of a matrix: that of each cell's run, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.errors import RefusedError
from spotdeploy.events import Event, RunEnded, RunStarted
from spotdeploy.matrix.cells import Cell, Value
from spotdeploy.model import Verdict
from spotdeploy.report.event_log import EVENTS, REPORT
from spotdeploy.report.model import BeforeReport, Mark, RunReport, build
from spotdeploy.report.model import encode as encode_run
from spotdeploy.report.run_store import read_events, read_report
from spotdeploy.run.cost import Cost
from spotdeploy.state.folder import write_private

FORMAT: Final = 1
CELLS: Final = "cells.json"
"""In the folder of a matrix's run, from its beginning: its cells and the command of each."""


class Planned(msgspec.Struct, frozen=True):
    """A cell that a run is to work on."""

    name: str
    values: dict[str, Value]
    command: str

    @property
    def cell(self) -> Cell:
        """The same as a cell."""
        return Cell(self.name, self.values)


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a run."""

    name: str
    """Its deployment's."""
    values: dict[str, Value]
    """Axis to value."""
    folder: str = ""
    """Where the files of its run are, relative to those of the matrix; empty when it has none."""
    report: RunReport
    """That of its run. A cell that never began has one too, without nodes."""

    @property
    def title(self) -> str:
        """Its values, for people."""
        return str(Cell(self.name, self.values))


class MatrixReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole matrix. Times are Unix seconds."""

    format: int = FORMAT
    run: str
    deployment: str
    """The config's."""
    command: str
    providers: tuple[str, ...]
    digest: str
    started_at: float
    ended_at: float
    verdict: Verdict
    """That of the cell which outranks the others."""
    exit_code: int | None
    message: str = msgspec.field(name="words")
    checks: tuple[str, ...]
    """Names, in the order in which reports show them."""
    cost: Cost
    """Of all cells."""
    cells: tuple[CellReport, ...]
    """In the order of the config; those that it does not have any more come last, and their
    command is `destroy`."""
    marks: tuple[Mark, ...] = ()
    """Of the run as a whole."""
    before: tuple[BeforeReport, ...] = ()
    """What had to pass on this computer before any cell began."""

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended_at - self.started_at

    @property
    def passed(self) -> int:
        """How many nodes passed, in all cells."""
        return sum(cell.report.passed for cell in self.cells)

    @property
    def desired(self) -> int:
        """How many nodes were asked for, in all cells."""
        return sum(cell.report.desired for cell in self.cells)

    @property
    def failed(self) -> tuple[CellReport, ...]:
        """The cells that did not pass."""
        return tuple(one for one in self.cells if one.report.verdict is not Verdict.PASSED)

    @property
    def left(self) -> tuple[str, ...]:
        """What could not be proven gone, in any cell."""
        return tuple(what for cell in self.cells for what in cell.report.left)


def is_matrix(folder: Path) -> bool:
    """Whether a run's folder is that of a matrix."""
    return (folder / CELLS).exists()


def write_cells(folder: Path, cells: Sequence[Planned]) -> None:
    """Note which cells a run is to work on. Raises OSError."""
    write_private(folder / CELLS, msgspec.json.encode(cells))


def read_matrix_report(folder: Path) -> MatrixReport:
    """The report of a matrix's run, from its events and those of its cells. A killed run is
    reported as far as it came. Raises RefusedError when its cells are not known."""
    try:
        planned = msgspec.json.decode((folder / CELLS).read_bytes(), type=tuple[Planned, ...])
    except (OSError, msgspec.MsgspecError) as error:
        raise RefusedError(
            f"{folder / CELLS} cannot be read: {error}", hint="name another run"
        ) from error
    reports = {report.deployment: (path, report) for path, report in _cell_reports(folder)}
    return _whole(read_events(folder)[0], planned, reports)


def reports_of(folder: Path) -> list[RunReport]:
    """The report of a run, or those of the cells of a matrix. Raises RefusedError."""
    if not is_matrix(folder):
        return [read_report(folder)]
    return [cell.report for cell in read_matrix_report(folder).cells]


def written_matrix_report(folder: Path) -> MatrixReport | None:
    """The report.json of a matrix's run, when there is one that can be read."""
    try:
        report = msgspec.json.decode((folder / REPORT).read_bytes(), type=MatrixReport)
    except (OSError, msgspec.MsgspecError):
        return None
    return report if report.format == FORMAT else None


def encode(report: MatrixReport) -> bytes:
    """The one form in which the run of a matrix is given to programs."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def report_bytes(folder: Path) -> bytes:
    """The report of a run, of a matrix or not, in the form in which programs are given it. Raises
    RefusedError."""
    if is_matrix(folder):
        return encode(read_matrix_report(folder))
    return encode_run(read_report(folder))


def matrix_report_schema_text() -> str:
    """The JSON Schema of that form, as indented JSON."""
    schema = msgspec.json.schema(MatrixReport)
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


def _cell_reports(folder: Path) -> Iterable[tuple[str, RunReport]]:
    for events in sorted(folder.glob(f"*/{EVENTS}")):
        try:
            yield events.parent.name, read_report(events.parent)
        except RefusedError:
            continue  # it was killed before its first event: as one that never began


def _whole(
    events: Sequence[Event],
    planned: Sequence[Planned],
    reports: dict[str, tuple[str, RunReport]],
) -> MatrixReport:
    own = build(one for one in events if not one.cell)
    ends = {one.cell: one for one in events if one.cell and isinstance(one, RunEnded)}
    cells = []
    for one in planned:
        end = ends.get(one.name)
        path, report = reports.get(one.name) or ("", _never_begun(own, one, end))
        if end and report.verdict is Verdict.UNFINISHED:  # its run ended in a bug
            report = msgspec.structs.replace(
                report, verdict=end.verdict, exit_code=end.exit_code, message=end.detail
            )
        cells.append(CellReport(name=one.name, values=one.values, folder=path, report=report))
    costs = [cell.report.cost for cell in cells]
    names = (name for cell in cells for name in cell.report.checks)
    return MatrixReport(
        run=own.run,
        deployment=own.deployment,
        command=own.command,
        providers=own.providers,
        digest=own.digest,
        started_at=own.started_at,
        ended_at=max([own.ended_at, *(cell.report.ended_at for cell in cells)]),
        verdict=own.verdict,
        exit_code=own.exit_code,
        message=own.message,
        checks=tuple(dict.fromkeys(names)),
        cost=Cost(
            usd=sum(cost.usd for cost in costs),
            node_seconds=sum(cost.node_seconds for cost in costs),
            nodes=sum(cost.nodes for cost in costs),
            unpriced=sum(cost.unpriced for cost in costs),
        ),
        cells=tuple(cells),
        marks=own.marks,
        before=own.before,
    )


def _never_begun(own: RunReport, planned: Planned, end: RunEnded | None) -> RunReport:
    """The report of a cell that has no run: it was refused, or stopped before its turn."""
    started = RunStarted(
        at=end.at if end else own.started_at,
        run="",
        command=planned.command,
        deployment=planned.name,
        providers=own.providers,
        digest=own.digest,
        desired=0,
    )
    return build([started, *([end] if end else [])])
