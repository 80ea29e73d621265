"""What TAB offers in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy.model import Node, NodeState
from spotdeploy.state.journal import Journal
from tests.report import samples

CONFIG = """
deployment = "shop"
providers = ["fake"]
plugins = ["./plugin.py"]
[groups.head]
[groups.worker]
[matrix]
py = ["3.11", "3.12"]
exclude = [{ py = "3.12" }]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    (tmp_path / "plugin.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "below").mkdir()
    state = tmp_path / ".spotdeploy"
    journal = Journal(state / "journal.db")
    for name in ("shop-1", "shop-2", "shop-3", "$(touch ran)", "*"):
        node = Node(f"id-{name}", name, "fake", "here", NodeState.RUNNING)
        journal.seen([node], "shop")
    journal.gone("fake", "here", ["id-shop-3"], "a listing")
    sample = samples.passing(1)
    sample.write(state / "runs")
    journal.begin_run(sample.run, "ci-7", "cycle", "d")
    journal.close()
    return tmp_path


def complete(folder: Path, line: str, *, shell: str = "bash") -> list[str]:
    """What is offered for the last word of a line."""
    words = line.split(" ")
    variables = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("spotdeploy"))],
        cwd=folder,
        env={**os.environ, "_SPOTDEPLOY_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "", done
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("spotdeploy ex", {"export"}),
        ("spotdeploy access ", {"export", "import"}),
        ("spotdeploy ssh ", {"shop-1", "shop-2"}),
        ("spotdeploy debug shop-2", {"shop-2"}),
        ("spotdeploy logs ", {"shop-1", "shop-2", "head", "worker"}),
        ("spotdeploy logs shop-1 w", {"worker"}),
        ("spotdeploy run h", {"head"}),
        ("spotdeploy run --group ", {"head", "worker"}),
        ("spotdeploy export --group w", {"worker"}),
        ("spotdeploy export --format a", {"ansible"}),
        ("spotdeploy list --only ", {"py=3.11", "py=3.12"}),
        ("spotdeploy report ", {"last", samples.passing(1).run}),
        ("spotdeploy diff 2", {samples.passing(1).run}),
        ("spotdeploy cycle --deployment ", {"ci-7"}),
        ("spotdeploy cycle --provider a", {"aws", "azure"}),
        ("spotdeploy init --provider g", {"gcp"}),
    ],
)
def test_names_are_offered_and_nothing_of_the_folder_is_run(
    project: Path, line: str, offered: set[str]
) -> None:
    before = sorted(project.rglob("*"))
    assert set(complete(project, line)) == offered
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(project: Path, shell: str) -> None:
    told = " ".join(complete(project, "spotdeploy ssh shop", shell=shell))
    assert "shop-1" in told
    assert "shop-2" in told


def test_the_config_above_is_meant_below_it(project: Path) -> None:
    assert set(complete(project / "below", "spotdeploy export --group ")) == set()
    (project / ".git").mkdir()
    assert set(complete(project / "below", "spotdeploy export --group ")) == {"head", "worker"}


def test_the_config_that_was_named_is_meant(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('deployment = "a"\n[groups.sole]\n')
    line = f"spotdeploy export --config {other} --group "
    assert complete(project, line) == ["sole"]


@pytest.mark.parametrize("trouble", ["no config", "bad config", "no state", "bad journal"])
def test_trouble_is_silent_and_writes_nothing(project: Path, trouble: str) -> None:
    state = project / ".spotdeploy"
    if trouble == "no config":
        (project / "spotdeploy.toml").unlink()
    elif trouble == "bad config":
        (project / "spotdeploy.toml").write_text("deployment = \n")
    elif trouble == "no state":
        for file in sorted(state.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        state.rmdir()
    else:
        (state / "journal.db").write_text("x" * 5000)
    before = sorted(project.rglob("*"))
    for line in ("spotdeploy ssh ", "spotdeploy cycle --deployment "):
        assert complete(project, line) == []
    assert sorted(project.rglob("*")) == before


def test_only_the_command_in_the_line_is_imported(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("spotdeploy"))],
        cwd=project,
        env={
            **os.environ,
            "_SPOTDEPLOY_COMPLETE": "complete_bash",
            "COMP_WORDS": "spotdeploy ssh ",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "spotdeploy.cli.options" in imported
    assert not imported & {"spotdeploy.cli.run", "spotdeploy.project", "asyncssh", "rich"}
