"""`plugins test NAME --live` through the command."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.cycles.project import Project

LIVE = ("plugins", "test", "fake", "--live")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, "mine")
    project.config |= {"providers": ["fake"], "timeouts": {"boot": "2s"}}
    project.write()
    return project


@pytest.fixture
def cloud(tmp_path: Path) -> FakeCloud:
    return FakeCloud(FileStore(tmp_path / ".spotdeploy/fake-cloud.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (LIVE, "give --max-cost USD: 2 nodes for 30m at most"),
        (("plugins", "test", "fake", "--max-cost", "0.5"), "--max-cost goes with --live"),
        ((*LIVE, "--max-cost", "1", "-k", "listed"), "--live runs none"),
        ((*LIVE, "--max-cost", "0.001"), "whose price is known to be 0.001 USD per hour or less"),
        (("plugins", "test", "nobody", "--live", "--max-cost", "1"), "nobody"),
    ],
)
def test_it_is_refused_before_anything_is_made(
    project: Project, cloud: FakeCloud, arguments: tuple[str, ...], words: str
) -> None:
    done = project.run(*arguments)
    assert done.code == 2, done
    assert words in done.err
    assert cloud.count("create") == 0


def test_it_shows_each_promise_and_writes_the_page(project: Project, cloud: FakeCloud) -> None:
    done = project.run(*LIVE, "--max-cost", "0.5", "--report", "seen.md")
    assert done.code == 1, done  # the fake cloud's nodes answer nobody
    assert "  kept: the same token makes no second node\n" in done.out
    assert "  BROKEN: the node ran its user-data and answers by ssh" in done.out
    assert done.out.endswith("BROKEN: 1 promise; nothing is left\n")
    page = (project.folder / "seen.md").read_text("utf-8")
    assert "fake-account" not in page
    assert "live-" not in page.replace("--live", "")
    assert cloud.billed() == []


def test_what_is_left_is_a_leak_with_the_way_to_end_it(project: Project) -> None:
    project.config["timeouts"]["destroy"] = "2s"
    project.config["provider"] = {"fake": {"faults": [{"kind": "stuck", "times": 0}]}}
    project.write()
    done = project.run(*LIVE, "--max-cost", "0.5")
    assert done.code == 4, done
    assert "by hand: remove m-" in done.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_was_made_and_a_second_changes_nothing(
    project: Project, cloud: FakeCloud, number: signal.Signals
) -> None:
    with project.started(*LIVE, "--max-cost", "0.5") as process:
        process.until("kept: create() makes one node")
        process.send(number)
        process.until("Stopping")
        process.send(number)
        done = process.end()
    assert done.code == 130, done
    assert done.out.endswith("STOPPED: nothing is left\n")
    assert cloud.billed() == []


def test_a_killed_one_is_found_by_reap_once_its_time_is_over(
    project: Project, cloud: FakeCloud
) -> None:
    with project.started(*LIVE, "--max-cost", "0.5") as process:
        process.until("kept: create() makes one node")
        process.send(signal.SIGKILL)
    assert len(cloud.billed()) > 0
    found = project.run("reap", "--json").json()
    assert found["alive"] == 1
