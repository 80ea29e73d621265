"""The state folder: its owner's alone, out of git, and without links that lead elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.cli.init import write
from spotdeploy.errors import RefusedError
from spotdeploy.node import keys
from spotdeploy.project import Project
from spotdeploy.report.event_log import EventLog
from spotdeploy.report.writer import write_reports
from spotdeploy.state.folder import NAME, private_folder, write_private
from spotdeploy.state.journal import Journal

SPOTDEPLOY = (sys.executable, "-m", "spotdeploy")
LINKS: dict[str, Callable[[Path], Path]] = {
    "the folder": lambda state: state,
    "the journal": lambda state: state / "journal.db",
    "its log": lambda state: state / "journal.db-wal",
    "the keys": lambda state: state / "foreign",
    "a key": lambda state: state / "foreign" / "id_ed25519",
    "a public key": lambda state: state / "foreign" / "id_ed25519.pub",
    "known hosts": lambda state: state / "foreign" / "known_hosts",
    "the runs": lambda state: state / "runs",
    "a run": lambda state: state / "runs" / "20261101-101010-aaaaaa",
    "a report": lambda state: state / "runs" / "20261101-101010-aaaaaa" / "report.html",
    "half a report": lambda state: state / "runs" / "20261101-101010-aaaaaa" / ".report.html.part",
    "evidence": lambda state: state / "runs" / "20261101-101010-aaaaaa" / "evidence",
    "the digests": lambda state: state / "digests.json",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pulled repository"
    (folder / "instance").mkdir(parents=True)
    (folder / "instance" / "deploy.sh").write_text("#!/bin/sh\n")
    (folder / "spotdeploy.toml").write_text(
        'deployment = "foreign"\nproviders = ["fake"]\n[payload]\npath = "instance"\n'
        f'entry = "deploy.sh"\n[provider.fake]\nstate = "{tmp_path / "cloud.json"}"\n'
        '[timeouts]\nboot = "1s"\n'
    )
    return folder


@pytest.mark.parametrize("what", LINKS)
def test_a_link_in_it_is_refused_with_its_path(folder: Path, what: str) -> None:
    link = LINKS[what](folder / NAME)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder.parent / "victim")
    with pytest.raises(RefusedError, match="is a link") as caught:
        Project.open(folder / "spotdeploy.toml")
    assert str(link) in caught.value.message


@pytest.mark.parametrize("command", ["cycle", "create", "destroy", "history", "report", "ssh x"])
def test_no_command_follows_a_link_to_the_users_own_files(folder: Path, command: str) -> None:
    victim = folder.parent / "authorized_keys"
    victim.write_text("ssh-ed25519 AAAA mine\n")
    keys_folder = folder / NAME / "foreign"
    keys_folder.mkdir(parents=True)
    (keys_folder / "id_ed25519.pub").symlink_to(victim)
    done = subprocess.run(
        [*SPOTDEPLOY, *command.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done
    assert str(keys_folder / "id_ed25519.pub") in done.stderr
    assert victim.read_text() == "ssh-ed25519 AAAA mine\n"


def test_links_elsewhere_in_a_project_are_the_projects(folder: Path) -> None:
    (folder / "shared").symlink_to(folder / "instance")
    assert Project.open(folder / "spotdeploy.toml").deployment == "foreign"


def test_what_a_run_leaves_is_its_owners_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        done = subprocess.run(
            [*SPOTDEPLOY, "cycle", "--keep", "always"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.umask(before)
    assert done.returncode == 3, done
    state = folder / NAME
    found = [state, *state.rglob("*")]
    assert {"journal.db", "events.jsonl", "report.html", "id_ed25519.pub"} <= {
        f.name for f in found
    }
    open_to_others = [one for one in found if one.stat().st_mode & 0o077]
    assert open_to_others == []


def test_a_state_folder_of_an_older_version_is_closed(tmp_path: Path) -> None:
    state = tmp_path / NAME
    (state / "runs").mkdir(parents=True)
    state.chmod(0o755)
    Journal(state / "journal.db").close()
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".report.html.part", "events.jsonl", "x"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        write_private(tmp_path / "x", b"theirs")
    with pytest.raises(Exception, match="cannot write"):
        EventLog().open(tmp_path)
    (tmp_path / "events.jsonl").unlink()
    write_reports(tmp_path)
    assert victim.read_text() == "mine"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def test_git_add_stages_no_key_journal_or_evidence(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for folder in (tmp_path, tmp_path / "below"):
        private_folder(folder / NAME / "runs" / "x")
        keys.make(folder / NAME / "demo", "demo")
        Journal(folder / NAME / "journal.db").close()
    git(tmp_path, "add", "-A")
    assert git(tmp_path, "ls-files") == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ".spotdeploy/\n"),
        ("*.pyc\n", "*.pyc\n.spotdeploy/\n"),
        ("*.pyc", "*.pyc\n.spotdeploy/\n"),
        ("/.spotdeploy\nx\n", "/.spotdeploy\nx\n"),
        (".spotdeploy/\n", ".spotdeploy/\n"),
    ],
)
def test_init_has_git_ignore_the_state_folder_once(
    tmp_path: Path, before: str | None, after: str
) -> None:
    if before is not None:
        (tmp_path / ".gitignore").write_text(before)
    written = write(tmp_path, "demo", {})
    assert (tmp_path / ".gitignore").read_text() == after
    assert ((tmp_path / ".gitignore") in written) is (before != after)
