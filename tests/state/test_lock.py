"""One changing run at a time."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy.errors import RefusedError
from spotdeploy.state.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from spotdeploy.state.lock import locked
with locked("demo", "cycle", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_live_holder_is_named_with_its_pid_host_command_and_since_when(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        try:
            with pytest.raises(RefusedError) as caught, locked("demo", "destroy", tmp_path):
                pass
        finally:
            other.kill()
    message = rf"demo is in use by 'spotdeploy cycle' \(pid {other.pid} on {platform.node()}, since"
    assert caught.match(message)
    assert caught.value.hint


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with locked("demo", "destroy", tmp_path):
        assert str(os.getpid()) in (tmp_path / "demo.json").read_text()


def test_another_deployment_is_not_held_up(tmp_path: Path) -> None:
    with locked("demo", "cycle", tmp_path), locked("other", "cycle", tmp_path):
        pass


@pytest.mark.parametrize("damage", [b"", b"\xff\x00", b'{"pid": "x"}', b"[" * 10_000])
def test_a_damaged_note_still_names_that_somebody_holds_it(tmp_path: Path, damage: bytes) -> None:
    with locked("demo", "cycle", tmp_path):
        (tmp_path / "demo.json").write_bytes(damage)
        with (
            pytest.raises(RefusedError, match="demo is in use by another spotdeploy"),
            locked("demo", "destroy", tmp_path),
        ):
            pass
