"""What goes wrong with the files that spotdeploy writes: config, runs, reports, journal, locks."""

from __future__ import annotations

from pathlib import Path

from spotdeploy.matrix.writer import MatrixRecorder
from spotdeploy.state.lock import locked
from tests.messages import worlds
from tests.messages.catalogue import BASE, PAYLOAD, Case

FAILING = '[before]\ncommands = ["false"]\n'
MATRIX = "[matrix]\na = [1]\n"
OTHER = {"other.toml": f"{BASE}{PAYLOAD}{FAILING}{MATRIX}"}
ONE = {"other.toml": f"{BASE}{PAYLOAD}{FAILING}"}
CELLS_RUN = "cycle --config other.toml"
RUN = f".spotdeploy/runs/{worlds.RUN}"
LOCKS = "home/.local/state/spotdeploy/locks"


def begin_matrix() -> None:
    """As a run of a matrix begins, in the folder `run`."""
    with MatrixRecorder() as recorder:
        recorder.begin(Path("run"), [])


INIT = [
    Case("init where something is", command="init ."),
    Case("init below a file", command="init spotdeploy.toml/new"),
    Case("init of a bad name", command="init new --name A_B"),
    Case("init with no key and value", command="init new --set count"),
    Case("init of a key that is a table too", command="init new --set keep=1 --set keep.x=2"),
    Case("init of a region without a provider", command="init new --region x"),
    Case("init of a region of what has none", command="init new --provider local --region x"),
]

REPORTS = [
    Case("a run of another name", FAILING, "report 2019", first=["cycle"]),
    Case(
        "a name that several runs have",
        FAILING,
        "report 2",
        first=["cycle", worlds.an_older_run, "cycle"],
    ),
    Case("a run without events", command="report last", files={f"{RUN}/events.jsonl": ""}),
    Case(
        "a run whose events are a folder", command="report last", files={f"{RUN}/events.jsonl/": ""}
    ),
    Case(
        "a run whose cells make no sense",
        command="report last",
        files={f"{RUN}/events.jsonl": "", f"{RUN}/cells.json": "none"},
    ),
    Case("a page into no folder", FAILING, "report --html nowhere/page.html", first=["cycle"]),
    Case(
        "a difference of what has cells and what has none",
        FAILING,
        f"diff {worlds.RUN} last",
        files=OTHER,
        first=["cycle", worlds.an_older_run, CELLS_RUN],
    ),
    Case("failed cells, and none now", command="cycle --failed", files=OTHER, first=[CELLS_RUN]),
    Case("failed cells, and none then", MATRIX, "cycle --failed", files=ONE, first=[CELLS_RUN]),
    Case("events into a folder", command="cycle --events instance"),
    Case("runs where a file is", command="cycle", files={".spotdeploy/runs": ""}),
    Case(
        "a list of cells where a folder is",
        command=begin_matrix,
        files={"run/cells.json/": ""},
    ),
    Case("notes of cells where a file is", MATRIX, "cycle", files={".spotdeploy/demo/cells": ""}),
    Case("output to a full disk", command=worlds.schema_to_a_full_disk),
]

STATE = [
    Case("state that is a link", links={".spotdeploy": "/tmp"}),
    Case(
        "state of somebody else",
        command="list",
        files={".spotdeploy/": ""},
        first=["list"],
        held=worlds.unreadable_state,
    ),
    Case(
        "state that cannot be looked through",
        command="list",
        files={".spotdeploy/runs/": ""},
        first=["list"],
        held=worlds.one_open_file,
    ),
    Case("state where a file is", command="destroy", files={".spotdeploy": ""}),
    Case("a journal that is a folder", command="destroy", files={".spotdeploy/journal.db/": ""}),
    Case("a journal that is none", command="destroy", files={".spotdeploy/journal.db": "x" * 999}),
    Case("a journal of a newer version", command="history", first=[worlds.newer_journal]),
    Case("a journal in use", command="history", held=worlds.journal_in_use),
    Case("a deployment in use", command="destroy", held=lambda: locked("demo", "cycle")),
    Case("a lock that is a folder", command="destroy", files={f"{LOCKS}/demo.lock/": ""}),
    Case("an id of this home that is a folder", command="destroy", files={f"{LOCKS}/home-id/": ""}),
]

CASES = [*INIT, *REPORTS, *STATE]
