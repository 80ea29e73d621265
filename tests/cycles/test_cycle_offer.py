"""The first command of all: `spotdeploy cycle` in an empty folder."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command import COMMAND, PATIENCE


def at_a_terminal(folder: Path, answer: str, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code and the screen of a command whose user answers its first question."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [*COMMAND, *arguments]
    with subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        screen = b""
        try:
            while data := os.read(ours, 65536):
                screen += data
        except OSError:  # EIO: the command has closed its end
            pass
        finally:
            os.close(ours)
        return process.wait(PATIENCE), screen.decode(errors="replace")


@pytest.mark.machines
def test_an_empty_folder_is_given_the_reference_payload_and_a_green_cycle(tmp_path: Path) -> None:
    folder = tmp_path / "first-steps"
    folder.mkdir()
    code, screen = at_a_terminal(folder, "\n", ["cycle", "--keep", "never"])
    assert "is empty. Write the reference payload" in screen
    assert "wrote spotdeploy.toml" in screen
    assert code == 0, screen
    assert "3 nodes are healthy" in screen
    assert 'deployment = "first-steps"' in (folder / "spotdeploy.toml").read_text()


def test_a_no_and_a_folder_with_something_in_it_are_left_as_they_are(tmp_path: Path) -> None:
    code, screen = at_a_terminal(tmp_path, "n\n", ["cycle"])
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "run 'spotdeploy init'" in screen
    (tmp_path / "notes.txt").write_text("mine")
    code, screen = at_a_terminal(tmp_path, "\n", ["cycle"])
    assert (code, [one.name for one in tmp_path.iterdir()]) == (2, ["notes.txt"])
    assert "is empty" not in screen


def test_nobody_is_asked_where_there_is_no_terminal(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "cycle"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "is empty" not in done.stdout
