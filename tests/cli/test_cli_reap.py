"""`spotdeploy reap` through the command: dry by default, from any folder, in all locations."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.cli.tables import show_nodes
from spotdeploy.model import Batch, Market, Node, NodeState, Offer
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.command import run as run_command

CONFIG = """
deployment = "elsewhere"
providers = ["fake"]
[provider.fake]
locations = ["here", "there"]
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(folder, "reap", *arguments)


def cloud_of(folder: Path) -> FakeCloud:
    return FakeCloud(FileStore(folder / ".spotdeploy" / "fake-cloud.json"))


def leak(folder: Path, place: str, ends: int, token: str) -> None:
    """A machine that another computer made and forgot."""
    its = labels.for_batch("forgotten", "20260101-000000-abcdef", token, "0" * 64, ends)
    offer = Offer("fake", place, "a", "small", Market.SPOT)
    cloud_of(folder).create(offer, Batch(token, 1, its, b"", "spotdeploy"))


def test_reap_shows_what_is_overdue_anywhere_and_changes_nothing_until_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    leak(tmp_path, "here", 1_000_000, "old-here")
    leak(tmp_path, "there", 1_000_000, "old-there")
    leak(tmp_path, "there", 9_000_000_000, "young")
    shown = run(tmp_path)
    assert shown.returncode == 0, shown
    assert "forgotten" in shown.stdout
    assert "expired in 2 locations; 1 more within their time to live" in shown.stdout
    assert "spotdeploy reap --yes" in shown.stdout
    machines = [id_ for id_ in cloud_of(tmp_path).billed() if id_.startswith("m-")]
    assert len(machines) == 3

    done = run(tmp_path, "--yes")
    assert done.returncode == 0, done
    assert "proven by 2 listings" in done.stdout
    machines = [id_ for id_ in cloud_of(tmp_path).billed() if id_.startswith("m-")]
    assert len(machines) == 1

    again = run(tmp_path, "--json")
    data = json.loads(again.stdout)
    assert (data["overdue"], data["alive"], data["errors"]) == ([], 1, {})


def test_list_says_when_reap_ends_what_has_expired(capsys: pytest.CaptureFixture[str]) -> None:
    ends = labels.for_batch("shop", "run-1", "t-1", "0" * 64, 1_800_000_000)
    node = Node("m-1", "m-1", "fake", "here", NodeState.RUNNING, labels=ends)
    show_nodes([node], ["nodes"], as_json=False, now=1_800_000_060)
    assert capsys.readouterr().out.endswith(
        "expired: it should have ended itself; spotdeploy reap ends it once that was 10m ago\n"
    )
    show_nodes([node], ["nodes"], as_json=False, now=1_799_999_000)
    assert "reap" not in capsys.readouterr().out


def test_reap_needs_no_config_when_it_is_told_where_to_look(tmp_path: Path) -> None:
    leak(tmp_path, "here", 1_000_000, "old")
    done = run(tmp_path, "--provider", "fake", "--yes")
    assert done.returncode == 0, done
    assert cloud_of(tmp_path).billed() == []


def test_what_cannot_be_ended_is_exit_code_4(tmp_path: Path) -> None:
    stuck = 'faults = [{ kind = "stuck" }]\n'
    timeouts = '[timeouts]\ndestroy = "1s"\n'
    (tmp_path / "spotdeploy.toml").write_text(CONFIG + stuck + timeouts)
    leak(tmp_path, "here", 1_000_000, "old")
    done = run(tmp_path, "--yes")
    assert done.returncode == 4, done
    assert "not proven gone" in done.stdout
    assert "by hand: remove m-" in done.stdout
