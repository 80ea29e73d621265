"""The folders of past runs: finding one, and reading what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.errors import RefusedError
from spotdeploy.events import AnyEvent, Event
from spotdeploy.labels import RUN, VALID
from spotdeploy.model import Node
from spotdeploy.report.event_log import EVENTS, REPORT
from spotdeploy.report.model import FORMAT, RunReport, build
from spotdeploy.state.ids import began_at

RUNS: Final = "runs"
LAST: Final = "last"


def run_folders(state: Path) -> list[Path]:
    """Every run's folder, oldest first: ids sort by time."""
    return sorted(path.parent for path in (state / RUNS).glob(f"*/{EVENTS}"))


def find_run(state: Path, name: str | None = None) -> Path:
    """The folder of a run, by its id, the beginning of its id, or "last". A cell's run is found by
    its id too.

    Raises RefusedError when there is none, or more than one.
    """
    folders = run_folders(state)
    if not folders:
        raise RefusedError(f"no runs in {state / RUNS}", hint="run 'spotdeploy cycle'")
    if name in (None, LAST):
        return folders[-1]
    found = [folder for folder in folders if folder.name.startswith(str(name))]
    if not found:
        cells = (path.parent for path in (state / RUNS).glob(f"*/*/{EVENTS}"))
        found = [folder for folder in cells if folder.name.startswith(str(name))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(folder.name for folder in (found or folders)[-5:])
    trouble = f"no run {name!r}" if not found else f"{len(found)} runs begin with {name!r}"
    raise RefusedError(trouble, hint=f"name one of: {names}; 'spotdeploy history' lists them")


def read_events(folder: Path) -> tuple[list[Event], int]:
    """A run's events, and how many lines could not be read: the last line of a killed run, or
    events of a newer spotdeploy. Raises RefusedError when there is no such file."""
    decoder = msgspec.json.Decoder(AnyEvent)
    events: list[Event] = []
    lines = _read(folder / EVENTS).splitlines()
    for line in lines:
        try:
            events.append(decoder.decode(line))
        except msgspec.MsgspecError:
            continue  # counted below
    return events, len(lines) - len(events)


def read_report(folder: Path) -> RunReport:
    """A run's report, built from its events; what they don't say is in its report.json.

    Raises RefusedError when neither says anything.
    """
    written = written_report(folder)
    events = read_events(folder)[0] if written is None or (folder / EVENTS).exists() else []
    if events:
        return build(events, earlier=written)
    if written is not None:
        return written
    raise RefusedError(f"{folder / EVENTS} has no events", hint="name another run")


def written_report(folder: Path) -> RunReport | None:
    """The report.json of a run, when there is one that can be read."""
    try:
        report = msgspec.json.decode((folder / REPORT).read_bytes(), type=RunReport)
    except (OSError, msgspec.MsgspecError):
        return None
    return report if report.format == FORMAT else None


def priced(state: Path, nodes: Iterable[Node]) -> list[Node]:
    """The nodes with what they cost an hour, where their provider does not say it and the report of
    the run that made them does."""
    nodes, rates = list(nodes), dict[str, float]()
    runs = {node.labels.get(RUN, "") for node in nodes if node.usd_per_hour is None}
    for run in runs:
        for report in _reports(state, run):
            rates |= {one.id: one.usd_per_hour for one in report.nodes if one.usd_per_hour}
    return [
        msgspec.structs.replace(node, usd_per_hour=rates[node.id])
        if node.usd_per_hour is None and node.id in rates
        else node
        for node in nodes
    ]


def _reports(state: Path, run: str) -> Iterator[RunReport]:
    """The written report of a run, of a cell's too. The name may be anybody's: a label has it."""
    if began_at(run) is None or not VALID.fullmatch(run):
        return
    for folder in (state / RUNS / run, *(state / RUNS).glob(f"*/{run}")):
        if (report := written_report(folder)) is not None:
            yield report


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(
            f"cannot read {path}: {error.strerror}", hint="name another run"
        ) from error
