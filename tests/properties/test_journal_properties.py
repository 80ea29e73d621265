"""Whatever ends the process or damages the file: what was written is there, or is missed aloud."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spotdeploy.errors import HostError
from spotdeploy.model import Market, Node, NodeState, Offer
from spotdeploy.phases.destroy import destroy
from spotdeploy.run.verdict import Receipt
from spotdeploy.state.journal import VERSION, Journal
from tests.properties.effort import FEW, USUAL
from tests.properties.world_of_faults import World

OFFER = Offer("fake", "here", None, "small", Market.SPOT)
IDS = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True)
State = dict[str, Any]


def node(id_: str) -> Node:
    return Node(id=id_, name=id_, provider="fake", location="here", state=NodeState.RUNNING)


def state(journal: Journal) -> State:
    """Everything that a destroy builds on."""
    return {
        "intents": [one.token for one in journal.open_intents("demo")],
        "nodes": {one.id: (one.gone_by, one.host_key) for one in journal.nodes("demo", gone=True)},
        "unproven": {(one.location, one.what) for one in journal.unproven("demo")},
        "runs": {one.id: one.verdict for one in journal.runs("demo")},
    }


class Recovery(RuleBasedStateMachine):
    """A journal beside a plain model of it; after every step the process may have been killed."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(mkdtemp(dir=memory if memory.is_dir() else None))
        self.path = self.folder / "journal.db"
        self.ticks = itertools.count(1.0)
        self.journal = self.opened(self.path)
        self.model: State = {"intents": [], "nodes": {}, "unproven": set(), "runs": {}}
        self.before = state(self.journal)
        self.length = self.wal_length()
        self.numbers = itertools.count()

    def opened(self, path: Path) -> Journal:
        return Journal(path, now=lambda: next(self.ticks))

    def wal_length(self) -> int:
        wal = Path(f"{self.path}-wal")
        return wal.stat().st_size if wal.exists() else 0

    def begin(self) -> None:
        """Remember how things were before the next write."""
        self.before, self.length = state(self.journal), self.wal_length()

    @rule(count=st.integers(1, 5))
    def record_intent(self, count: int) -> None:
        self.begin()
        token = f"t-{next(self.numbers)}"
        self.journal.record_intent(token, "demo", "r", OFFER, count)
        self.model["intents"].append(token)

    @rule(ids=IDS, which=st.integers(0, 3))
    def settle(self, ids: list[str], which: int) -> None:
        self.begin()
        token = self.model["intents"].pop(which) if which < len(self.model["intents"]) else "none"
        self.journal.resolve_intent(token, "demo", "r", map(node, ids))
        self.sighted(ids)

    @rule(ids=IDS)
    def seen(self, ids: list[str]) -> None:
        self.begin()
        self.journal.seen(map(node, ids), "demo")
        self.sighted(ids)

    def sighted(self, ids: list[str]) -> None:
        for id_ in ids:
            _, key = self.model["nodes"].get(id_, (None, None))
            self.model["nodes"][id_] = (None, key)

    @rule(ids=IDS, by=st.sampled_from(["a listing", "another"]))
    def gone(self, ids: list[str], by: str) -> None:
        self.begin()
        self.journal.gone("fake", "here", ids, by)
        for id_ in ids:
            before, key = self.model["nodes"].get(id_, (by, None))
            if id_ in self.model["nodes"]:
                self.model["nodes"][id_] = (before or by, key)

    @rule(id_=st.sampled_from("abcdef"))
    def pin(self, id_: str) -> None:
        self.begin()
        self.journal.pin(node(id_), f"key of {id_}")
        if id_ in self.model["nodes"]:
            self.model["nodes"][id_] = (self.model["nodes"][id_][0], f"key of {id_}")

    @rule(things=IDS, location=st.sampled_from(["here", "there"]))
    def set_unproven(self, things: list[str], location: str) -> None:
        self.begin()
        self.journal.set_unproven("demo", "fake", location, [(one, "rm") for one in things])
        others = {pair for pair in self.model["unproven"] if pair[0] != location}
        self.model["unproven"] = others | {(location, one) for one in things}

    @rule(verdict=st.sampled_from(["", "passed", "leaked"]))
    def run(self, verdict: str) -> None:
        self.begin()
        id_ = f"r-{next(self.numbers)}"
        self.journal.begin_run(id_, "demo", "cycle", "d")
        if verdict:
            self.begin()
            self.journal.end_run(id_, verdict, 0)
        self.model["runs"][id_] = verdict or None

    @rule()
    def close_intents(self) -> None:
        self.begin()
        self.journal.close_intents("demo", "fake", "here", next(self.ticks))
        self.model["intents"].clear()

    @rule()
    def end_well_and_open_again(self) -> None:
        self.journal.close()
        self.journal = self.opened(self.path)
        self.begin()

    def copy(self, wal_end: int | None = None) -> State:
        """What the next process finds, of the files as they are now; the log may be cut."""
        there = self.folder / "copy"
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir()
        shutil.copy(self.path, there / "journal.db")
        wal = Path(f"{self.path}-wal")
        if wal.exists():
            data = wal.read_bytes()
            (there / "journal.db-wal").write_bytes(data[:wal_end] if wal_end is not None else data)
        journal = self.opened(there / "journal.db")
        try:
            return state(journal)
        finally:
            journal.close()

    @invariant()
    def a_kill_now_loses_nothing_that_was_written(self) -> None:
        assert state(self.journal) == self.model
        assert self.copy() == self.model

    @rule(part=st.floats(0, 1))
    def the_last_write_was_torn_by_a_power_cut(self, part: float) -> None:
        now = self.wal_length()
        if now > self.length:
            found = self.copy(self.length + int(part * (now - self.length)))
            assert found in (self.before, self.model)

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)


Recovery.TestCase.settings = settings(USUAL, max_examples=25, stateful_step_count=20)
TestRecovery = Recovery.TestCase


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], Path]:
    """A journal with something in it, closed."""

    def make() -> Path:
        for old in tmp_path.glob("journal.db*"):
            old.unlink()
        path = tmp_path / "journal.db"
        journal = Journal(path)
        journal.begin_run("r", "demo", "cycle", "d")
        journal.record_intent("t", "demo", "r", OFFER, 3)
        journal.resolve_intent("u", "demo", "r", map(node, "abc"))
        journal.close()
        return path

    return make


def used(path: Path) -> str:
    """Everything a run does with a journal. Gives the refusal, or nothing."""
    try:
        journal = Journal(path)
        try:
            state(journal)
            journal.begin_run("r-2", "demo", "destroy", "d")
            journal.record_intent("t-2", "demo", "r-2", OFFER, 1)
            journal.resolve_intent("t-2", "demo", "r-2", map(node, "xyz"))
            journal.gone("fake", "here", "abcxyz", "a listing")
        finally:
            journal.close()
    except HostError as error:
        output = f"{error.message} {error.hint}"
        assert output.isprintable()
        return output
    return ""


@USUAL
@given(data=st.data())
def test_a_damaged_journal_is_used_or_refused_in_one_line_and_may_be_moved_away(
    written: Callable[[], Path], data: st.DataObject
) -> None:
    path = written()
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=400))
    cut = data.draw(st.booleans())
    path.write_bytes(whole[:at] + (b"" if cut else damage + whole[at + len(damage) :]))
    output = used(path)
    if output and "mv " in output:
        path.rename(path.with_name("old"))
        assert used(path) == "", "moved away, it is begun anew"


@USUAL
@given(log=st.binary(max_size=5000))
def test_garbage_in_place_of_the_log_is_passed_over(
    written: Callable[[], Path], log: bytes
) -> None:
    path = written()
    Path(f"{path}-wal").write_bytes(log)
    assert used(path) == ""


@FEW
@given(content=st.binary(min_size=20, max_size=2000))
@example(content=b"SQLite format 3\x00")
@example(content=b"SQLite format 3\x00" + b"\x00" * 4080)
def test_a_file_of_anything_is_refused_with_how_to_go_on_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    output = used(path)
    assert f"mv {path} {path}.old" in output
    assert "loses history and no machine" in output
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [0, VERSION])
def test_the_database_of_another_program_is_refused_and_gets_no_table(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    assert "is no journal of spotdeploy's" in used(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    db.close()


def test_times_from_a_clock_that_was_set_back_do_not_keep_destroy_from_ending(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    journal = Journal(tmp_path / "journal.db", now=lambda: 9e12)
    journal.record_intent("t", "demo", "r", OFFER, 1)
    journal.resolve_intent("u", "demo", "r", [node("m-1")])
    journal.close()
    receipt = world.run(destroy)
    assert isinstance(receipt, Receipt)
    assert receipt.clean


@USUAL
@given(data=st.data())
def test_a_destroy_with_one_changed_bit_in_the_journal_ends_well_or_says_how_to_go_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    world = World(tmp_path_factory.mktemp("world"), locations=("here",))
    path = world.folder / "journal.db"
    journal = Journal(path, now=world.clock.now)
    journal.begin_run("r", "demo", "cycle", "d")
    journal.record_intent("t", "demo", "r", OFFER, 3)
    journal.resolve_intent("u", "demo", "r", map(node, "abc"))
    journal.set_unproven("demo", "fake", "here", [("group g-1", "remove g-1")])
    journal.close()
    whole = bytearray(path.read_bytes())
    at = data.draw(st.sampled_from([index for index, byte in enumerate(whole) if byte]))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    if "mv " in used(path):
        return
    path.write_bytes(whole)
    receipt = world.run(destroy)
    assert isinstance(receipt, Receipt), receipt
    assert receipt.clean, receipt.left
