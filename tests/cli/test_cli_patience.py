"""Commands that only ask are as patient as runs, and end at once when they are told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore

HEARS_CTRL_C = ("env", "--default-signal=INT")
"""A shell lets what it starts in the background ignore Ctrl-C, and so a test's children."""
CONFIG = """
deployment = "patient"
providers = ["fake"]
[payload]
path = "instance"
entry = "entry.sh"
[provider.fake]
locations = {locations}
faults = [{{ kind = "throttled", call = "{call}", times = {times} }}]
"""


def write(folder: Path, call: str, times: int, locations: Sequence[str] = ("here",)) -> None:
    """A project whose cloud refuses these calls so often; 0 is always."""
    (folder / "instance").mkdir()
    (folder / "instance" / "entry.sh").write_text("echo deployed\n")
    text = CONFIG.format(call=call, times=times, locations=list(locations))
    (folder / "spotdeploy.toml").write_text(text.replace("'", '"'))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "spotdeploy", *arguments]


def cloud_of(folder: Path) -> FakeCloud:
    return FakeCloud(FileStore(folder / ".spotdeploy" / "fake-cloud.json"))


@pytest.mark.parametrize(
    ("arguments", "call", "code", "says"),
    [
        (["list", "--json"], "nodes", 0, "[]"),
        (["doctor"], "account", 0, "fake here (account"),
        (["reap"], "leftovers", 0, "0 expired in 1 location"),
        (["ssh", "patient-1"], "nodes", 2, "no node is named 'patient-1'"),
        (["debug", "patient-1"], "nodes", 2, "no node is named 'patient-1'"),
    ],
)
def test_a_short_storm_of_throttling_is_sat_out(
    tmp_path: Path, arguments: Sequence[str], call: str, code: int, says: str
) -> None:
    write(tmp_path, call, 3)
    done = subprocess.run(
        command(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done
    assert says in done.stdout + done.stderr
    assert cloud_of(tmp_path).count(call) >= 4


@pytest.mark.parametrize("arguments", [["list"], ["doctor"], ["debug", "patient-1"]])
def test_ctrl_c_ends_patience_at_once(tmp_path: Path, arguments: Sequence[str]) -> None:
    write(tmp_path, "any", 0, ["here", "there"])
    process = subprocess.Popen(
        [*HEARS_CTRL_C, *command(*arguments)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while cloud_of(tmp_path).count() < 8:  # pauses are longer than a second by then
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - began < 2.0
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
