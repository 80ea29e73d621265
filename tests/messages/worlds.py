"""What went before a mistake, and what is so while it is made: steps of a `catalogue.Case`."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from spotdeploy import labels
from spotdeploy.__main__ import main
from spotdeploy.model import Batch, Market, Node, Offer
from spotdeploy.node import keys
from spotdeploy.project import Project
from spotdeploy.state.journal import Journal
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake.store import FileStore

RUN: Final = "20260101-120000-abc123"
OFFER: Final = Offer("fake", "here", "a", "small", Market.SPOT)
CLOUD: Final = Path(".spotdeploy/fake-cloud.json")
JOURNAL: Final = Path(".spotdeploy/journal.db")
RUNS: Final = Path(".spotdeploy/runs")
NOBODY: Final = 65534


def _cloud() -> FakeCloud:
    return FakeCloud(FileStore(CLOUD))


def nodes(group: str = "nodes", count: int = 1) -> None:
    """Nodes in the cloud, of which this computer knows nothing."""
    marks = labels.for_batch("demo", RUN, "old", "d" * 40, 9e9, group)
    _cloud().create(OFFER, Batch("old", count, marks, b"", "spotdeploy", time_to_live=9e8))


def made_keys() -> None:
    """The ssh keys of the deployment on this computer."""
    keys.make(Project.open().keys_folder, "demo")


def known_nodes() -> None:
    """Nodes that were created here: with their keys, and their host keys in the journal."""
    nodes()
    made_keys()
    with closing(Journal(JOURNAL)) as journal:
        for node in _listed():
            journal.seen([node], "demo")
            journal.pin(node, keys.public_key(keys.new_pair("host").public))


def nodes_of_another_account() -> None:
    """Nodes that were created here, with the credentials of another account."""
    known_nodes()
    with closing(Journal(JOURNAL)) as journal:
        journal.record_account("demo", "fake", "their-account")


def a_past_cycle() -> None:
    """A cycle that passed, an hour of one node."""
    nodes()
    with closing(Journal(JOURNAL, now=lambda: 1000.0)) as journal:
        journal.begin_run(RUN, "demo", "cycle", "d" * 40)
        journal.seen(_listed(), "demo")
    with closing(Journal(JOURNAL, now=lambda: 4600.0)) as journal:
        journal.end_run(RUN, "passed", 0)
        journal.gone("fake", "here", [node.id for node in _listed()], "listings")


def a_claim() -> None:
    """A run on another computer is at work."""
    until = time.time() + 3600
    _cloud().claim("here", labels.for_claim("demo", RUN, "home", "cycle", "laptop", until))


def an_older_run() -> None:
    """The last run's folder becomes that of a run long ago."""
    max(RUNS.iterdir()).rename(RUNS / RUN)


def badly_named_nodes() -> None:
    """Nodes whose name somebody else chose."""
    nodes()
    CLOUD.write_bytes(CLOUD.read_bytes().replace(b'"demo-m-000002"', b'"a;b"'))


def handed(**changes: Any) -> None:
    """What `access export` wrote, with other values at the paths given as `a__b`."""
    file = Path("access.json")
    data = msgspec.json.decode(file.read_bytes())
    for path, value in changes.items():
        *above, last = path.split("__")
        inner = data
        for key in above:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = value
    file.write_bytes(msgspec.json.encode(data))


def node_twice() -> None:
    """The file that `access export` wrote names a node twice."""
    file = Path("access.json")
    data = msgspec.json.decode(file.read_bytes())
    data["nodes"] *= 2
    file.write_bytes(msgspec.json.encode(data))


def huge_file() -> None:
    """An access.json of 17 MiB, of which the disk holds nothing."""
    with open("access.json", "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.truncate(17 << 20)


def newer_journal() -> None:
    """A journal as a later version would leave it."""
    Journal(JOURNAL).close()
    with closing(sqlite3.connect(JOURNAL)) as database:
        database.execute("PRAGMA user_version = 99")


def plugin(name: str, code: str, module: str = "") -> dict[str, str]:
    """The files of an installed plugin, in the folder `site`."""
    module = module or f"plugin_{name}"
    return {
        f"site/{module}.py": code,
        f"site/{module}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {module}\n",
        f"site/{module}-1.dist-info/entry_points.txt": f"[spotdeploy]\n{name} = {module}\n",
    }


def installed() -> None:
    """Python finds what `plugin` gave."""
    sys.path.append(str(Path("site").absolute()))


def schema_to_a_full_disk() -> None:
    """The command, whose output goes to a disk without space."""
    kept, full = os.dup(1), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    try:
        with (
            open(1, "w", encoding="utf-8", closefd=False) as stream,
            mock.patch.object(sys, "argv", ["spotdeploy", "schema"]),
            contextlib.redirect_stdout(stream),
        ):
            main()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(full)


@contextlib.contextmanager
def one_open_file() -> Iterator[None]:
    """This process may open one more file at a time."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def unreadable_state() -> Iterator[None]:
    """The state folder is somebody else's."""
    state, root = Path(".spotdeploy"), os.geteuid() == 0
    Path().chmod(0o755)
    state.chmod(0)
    if root:  # whom no mode stops
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        state.chmod(0o700)


@contextlib.contextmanager
def journal_in_use() -> Iterator[None]:
    """Another program is writing to the journal, which it keeps in the older of SQLite's ways."""
    Journal(JOURNAL).close()
    with closing(sqlite3.connect(JOURNAL, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        yield


def _listed() -> list[Node]:
    return Project.open().nodes()
