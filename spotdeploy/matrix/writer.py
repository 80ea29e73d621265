"""Writing the files of a matrix's run. Whatever goes wrong here changes no verdict and no exit
code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spotdeploy.errors import cannot
from spotdeploy.matrix.report import (
    MatrixReport,
    Planned,
    encode,
    read_matrix_report,
    write_cells,
)
from spotdeploy.report.event_log import JUNIT, PAGE, REPORT, EventLog
from spotdeploy.report.model import logs
from spotdeploy.report.run_store import read_events
from spotdeploy.report.writer import write_file


class MatrixRecorder:
    """The files of a matrix's run: its events as they come, its reports when the block ends,
    however it ends. The cells' own files are in folders below."""

    def __init__(self) -> None:
        self.log = EventLog()
        self.folder: Path | None = None
        """Where the files are; None while nothing was begun."""
        self.problems: list[str] = []
        """What could not be written, one line each."""

    def begin(self, folder: Path, cells: Sequence[Planned]) -> None:
        """Begin the run's folder. Raises HostError when it cannot be made."""
        self.log.open(folder)
        try:
            write_cells(folder, cells)
        except OSError as error:
            raise cannot(f"write to {folder}", error) from error
        self.folder = folder

    def __enter__(self) -> MatrixRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()
        if self.folder is not None:
            self.problems += [self.log.trouble] if self.log.trouble else []
            self.problems += write_matrix_reports(self.folder)


def write_matrix_reports(folder: Path) -> list[str]:
    """Write report.json, junit.xml and report.html of a matrix's run. Returns what could not be
    written, one line each; raises nothing. May be repeated."""
    try:
        report = read_matrix_report(folder)
        output = logs(read_events(folder)[0])
    except Exception as error:  # noqa: BLE001  # see the module's first line
        return [f"no reports: {type(error).__name__}: {error}"]
    jobs: dict[str, Callable[[], bytes]] = {
        **{name: text.encode for name, text in output.items()},
        REPORT: lambda: encode(report),
        JUNIT: lambda: junit_xml(report),
        PAGE: lambda: html_page(report, folder),
    }
    return [problem for name, job in jobs.items() if (problem := write_file(folder / name, job))]


def junit_xml(report: MatrixReport) -> bytes:
    """The bytes of junit.xml: a suite for each cell."""
    from spotdeploy.report import junit

    cells = ((cell.folder, cell.report) for cell in report.cells)
    return junit.render_cells(cells, report.before, report.deployment)


def html_page(report: MatrixReport, folder: Path, target: Path | None = None) -> bytes:
    """The bytes of report.html, to lie in `folder` or at `target`."""
    from spotdeploy.matrix import page

    return page.render(report, folder, target).encode()
