"""The journal."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy.errors import HostError
from spotdeploy.model import Market, Node, NodeState, Offer
from spotdeploy.state.journal import Journal

OFFER = Offer("fake", "here", None, "small", Market.SPOT)


def node(id_: str) -> Node:
    return Node(id=id_, name=id_, provider="fake", location="here", state=NodeState.RUNNING)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def test_an_intent_stays_open_until_it_is_settled(journal: Journal) -> None:
    journal.record_intent("t-1", "demo", "r", OFFER, 3)
    assert [intent.token for intent in journal.open_intents("demo")] == ["t-1"]
    journal.resolve_intent("t-1", "demo", "r", [node("a"), node("b")])
    assert journal.open_intents("demo") == []
    assert [one.id for one in journal.nodes("demo")] == ["a", "b"]


def test_an_intent_is_on_disk_before_the_call_even_if_the_process_is_killed(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from spotdeploy.state.journal import Journal
from spotdeploy.model import Market, Offer
journal = Journal(Path({str(tmp_path / "journal.db")!r}))
journal.record_intent("t-1", "demo", "r", Offer("fake", "here", None, "small", Market.SPOT), 3)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script])
    assert killed.returncode == -9
    assert [i.token for i in Journal(tmp_path / "journal.db").open_intents("demo")] == ["t-1"]


def test_a_node_seen_gone_is_no_longer_among_the_nodes(journal: Journal) -> None:
    journal.resolve_intent("t", "demo", "r", [node("a"), node("b")])
    journal.gone("fake", "here", ["a"], "a listing")
    assert [one.id for one in journal.nodes("demo")] == ["b"]
    assert [one.gone_by for one in journal.nodes("demo", gone=True)] == ["a listing", None]


def test_a_node_listed_after_it_was_said_to_be_gone_is_among_the_nodes_again(
    journal: Journal,
) -> None:
    journal.resolve_intent("t", "demo", "r", [node("a")])
    journal.gone("fake", "here", ["a"], "a listing")
    journal.seen([node("a")], "demo")
    assert [(one.id, one.gone_by) for one in journal.nodes("demo")] == [("a", None)]


def test_deployments_do_not_see_one_another(journal: Journal) -> None:
    journal.resolve_intent("t", "demo", "r", [node("a")])
    assert journal.nodes("other") == []


def test_a_journal_that_cannot_be_written_is_an_error_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write the journal"):
        Journal(tmp_path / "file" / "journal.db")


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(HostError, match="not a database"):
        Journal(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path, journal: Journal) -> None:
    journal._db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(HostError, match="newer spotdeploy"):
        Journal(tmp_path / "journal.db")


def test_host_keys_outlive_a_killed_process_and_intents_still_wait_for_the_disk(
    tmp_path: Path,
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from spotdeploy.state.journal import Journal
from spotdeploy.model import Node, NodeState
journal = Journal(Path({str(tmp_path / "journal.db")!r}))
node = Node(id="a", name="a", provider="fake", location="here", state=NodeState.RUNNING)
journal.seen([node], "demo")
journal.pin(node, "ssh-ed25519 AAAA")
assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE)
    assert (killed.returncode, killed.stderr) == (-9, b"")
    (one,) = Journal(tmp_path / "journal.db").nodes("demo")
    assert one.host_key == "ssh-ed25519 AAAA"


def changed(path: Path, statement: str) -> None:
    """Another hand, or a failing disk, changes what the file holds."""
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


BAD_VALUES = [
    "name = x'6d2d31'",
    "name = CAST(x'ff' AS TEXT)",
    "location = x'68657265'",
    "made_at = 'yesterday'",
    "made_at = 9e999",
    "seen_at = -1e300",
    "gone_by = x'00'",
]


@pytest.mark.parametrize("change", BAD_VALUES)
def test_a_row_that_makes_no_sense_is_told_once_and_passed_over(
    tmp_path: Path, change: str
) -> None:
    path, told = tmp_path / "journal.db", list[str]()
    journal = Journal(path)
    journal.resolve_intent("t", "demo", "r", [node("a"), node("b"), node("c")])
    journal.close()
    changed(path, f"UPDATE node SET {change} WHERE id = 'b'")
    journal = Journal(path, tell=told.append)
    assert journal.whole
    for _ in range(2):
        assert [one.id for one in journal.nodes("demo")] == ["a", "c"]
    assert not journal.whole
    (line,) = told
    assert "row 2 of table node makes no sense" in line
    assert f"mv {path} {path}.old" in line
    journal.close()


def test_other_tables_are_read_as_carefully(tmp_path: Path) -> None:
    path, told = tmp_path / "journal.db", list[str]()
    journal = Journal(path, tell=told.append)
    journal.begin_run("r-1", "demo", "cycle", "d")
    journal.begin_run("r-2", "demo", "cycle", "d")
    journal.record_intent("t", "demo", "r-1", OFFER, 3)
    journal.record_account("demo", "fake", "an-account")
    journal.set_unproven("demo", "fake", "here", [("group g", "remove g")])
    changed(path, "UPDATE run SET exit_code = 'four' WHERE id = 'r-1'")
    changed(path, "UPDATE intent SET count = x'03'")
    changed(path, "UPDATE account SET id = x'03'")
    changed(path, "UPDATE unproven SET by_hand = x'03'")
    assert [run.id for run in journal.runs("demo")] == ["r-2"]
    assert journal.open_intents("demo") == []
    assert journal.unproven("demo") == []
    assert journal.account("demo", "fake") == ""
    assert [line.split(" of table ")[1].split()[0] for line in told] == [
        "run",
        "intent",
        "unproven",
    ]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        ("PRAGMA user_version = 0", "its version is 0"),
        ("PRAGMA user_version = -3", "its version is -3"),
        ("ALTER TABLE node RENAME COLUMN made_at TO mbde_at", "its tables are not those"),
        ("ALTER TABLE run DROP COLUMN digest", "its tables are not those"),
        ("ALTER TABLE account RENAME COLUMN id TO ie", "its tables are not those"),
    ],
)
def test_a_damaged_schema_is_told_as_that_with_how_to_go_on(
    tmp_path: Path, damage: str, cause: str
) -> None:
    path = tmp_path / "journal.db"
    Journal(path).close()
    changed(path, damage)
    with pytest.raises(HostError, match=f"is damaged: {cause}") as caught:
        Journal(path)
    assert str(caught.value.hint).startswith(f"mv {path} {path}.old")
    path.rename(f"{path}.old")
    Journal(path).close()


def test_a_folder_in_place_of_the_journal_is_told_as_that_with_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()
    with pytest.raises(HostError, match=r"journal\.db is a folder") as caught:
        Journal(path)
    assert str(caught.value.hint).startswith(f"mv {path} {path}.old")
    path.rename(f"{path}.old")
    Journal(path).close()


def test_a_journal_that_another_program_holds_is_told_as_that(
    tmp_path: Path, journal: Journal
) -> None:
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(HostError, match="is in use by another program"):
        journal.begin_run("r", "demo", "cycle", "d")
    other.close()


def test_a_full_disk_is_told_as_that(journal: Journal) -> None:
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HostError, match="is full") as caught:
        journal.begin_run("r", "demo", "cycle", "d" * 1_000_000)
    assert str(caught.value.hint).startswith("free disk space")
