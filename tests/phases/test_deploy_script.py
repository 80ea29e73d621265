"""The script that starts the entry, run by a real shell beside stand-ins for systemd's commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spotdeploy.phases import deploy
from spotdeploy.phases.deploy import start_script


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, and files of the node in another."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(deploy, "_ENVIRONMENT", str(tmp_path / "deploy.env"))
    return tmp_path


def start(node: Path, *, launched: int, main_pid: int) -> int:
    """The script's exit code where systemd-run ends with `launched`, and the unit's first process
    was `main_pid`; 0 for none."""
    for name, text in {"systemd-run": f"exit {launched}", "systemctl": f"echo {main_pid}"}.items():
        command = node / "bin" / name
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    path = f"{node / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", start_script(["/bin/sh", "entry.sh"])],
        env={"PATH": path},
        input=b'A="1"\n',
        check=False,
    )
    return done.returncode


def test_an_entry_that_is_over_before_systemd_saw_it_start_has_started(node: Path) -> None:
    assert start(node, launched=1, main_pid=4242) == 0


def test_an_entry_that_systemd_could_not_start_has_not(node: Path) -> None:
    assert start(node, launched=1, main_pid=0) != 0


def test_a_second_start_does_nothing(node: Path) -> None:
    assert start(node, launched=0, main_pid=0) == 0
    assert start(node, launched=1, main_pid=0) == 75
