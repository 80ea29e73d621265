"""The journal."""

from __future__ import annotations

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
