"""What is heard of an entry while it runs: the last line of its log."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.errors import UnreachableError
from spotdeploy.events import PhaseProgress
from spotdeploy.node import paths
from spotdeploy.phases import deploy as module
from spotdeploy.phases.deploy import _diagnose, _pause, deploy
from spotdeploy.testing.clock import ManualClock
from tests.phases.test_blame import OK, STARTED, FakeProjects, Line, new_run
from tests.properties import virtual


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of an entry that runs, beside a stand-in for systemctl."""
    log = tmp_path / "deployment.log"
    last_line = module._LAST_LINE.replace(paths.DEPLOYMENT_LOG, str(log))
    monkeypatch.setattr(module, "_LAST_LINE", last_line)
    monkeypatch.setattr(paths, "DEPLOYMENT_LOG", str(log))
    monkeypatch.setattr(module, "_LOCK", str(tmp_path / "lock"))
    command = tmp_path / "systemctl"
    command.write_text("#!/bin/sh\n[ $1 != show ] || echo SubState=running\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return log


@pytest.fixture
def entry(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What holds the lock as an entry does."""
    lock = log.parent / "lock"
    command = ["flock", "-o", str(lock), "sleep", "60"]
    with subprocess.Popen(command, start_new_session=True) as process:
        while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
            time.sleep(0.01)
        yield process
        os.killpg(process.pid, signal.SIGTERM)


def look(seconds: int, size: str = "") -> tuple[list[str], float]:
    """What the script says, and the seconds that took."""
    began = time.monotonic()
    command = ["sh", "-c", _diagnose(seconds, 1, size)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr
    return done.stdout.decode().split("\n")[:-1], time.monotonic() - began


def test_an_entry_that_says_nothing_new_is_waited_for(
    log: Path, entry: subprocess.Popen[bytes]
) -> None:
    log.write_text("begun\n\n  \n")
    lines, took = look(2, str(log.stat().st_size))
    assert took >= 2
    assert lines == ["SubState=running", "System=", f"Size={log.stat().st_size}", "Last=begun"]


def test_what_it_says_is_heard_before_its_end(log: Path, entry: subprocess.Popen[bytes]) -> None:
    log.write_text("begun\n")

    def speak() -> None:
        with log.open("a") as file:
            file.write("SubState=exited\n\rSubState=exited\n")

    timer = threading.Timer(0.5, speak)
    timer.start()
    lines, took = look(20, str(log.stat().st_size))
    timer.join()
    assert took < 10
    assert lines[-1] == "Last=\rSubState=exited"


def test_before_it_says_anything_there_is_no_line(entry: subprocess.Popen[bytes]) -> None:
    lines, _ = look(1)
    assert lines == ["SubState=running", "System=", "Size=", "Last="]


def test_the_end_of_an_entry_is_heard_at_once(log: Path) -> None:
    log.write_text("done\n")
    _, took = look(20, str(log.stat().st_size))
    assert took < 5


@pytest.mark.parametrize(("nodes", "seconds"), [(0, 2), (12, 2), (100, 4), (9999, 20)])
def test_many_nodes_are_looked_at_less_often(nodes: int, seconds: int) -> None:
    assert _pause(nodes) == seconds


def test_each_new_line_is_an_event_and_no_line_ends_the_entry(fake_project: FakeProjects) -> None:
    answers = iter(
        [
            "SubState=running\nSystem=running\nSize=6\nLast=begun\n",
            "SubState=running\nSystem=running\nSize=6\nLast=begun\n",
            "SubState=running\nSystem=running\nSize=$(reboot)\nLast=\rSubState=exited\n",
            "SubState=running\nSystem=running\nSize=9\nLast=x\u2028SubState=exited\n",
            "SubState=exited\nSystem=running\nSize=9\nLast=done\n",
        ]
    )

    def looked(command: object, stdin: bytes) -> CommandResult:
        return CommandResult(0, next(answers), "")

    project = fake_project()
    line = Line({**STARTED, "systemctl show": looked, "true": OK})
    virtual.run(ManualClock(), deploy(new_run(project, line)))
    told = [one.text for one in project.ears.received if isinstance(one, PhaseProgress)]
    assert told == ["begun", "SubState=exited", "xSubState=exited"]
    assert not [one for one in line.asked if "$(reboot)" in " ".join(one)]
    assert next(answers, None) is None


def test_what_keeps_a_node_from_answering_is_told_once(fake_project: FakeProjects) -> None:
    reasons = iter(["nothing listens", "nothing listens", "not ready yet", "nothing listens"])

    class Later(Line):
        async def connect(self, timeout: float = 15.0) -> None:
            for reason in reasons:
                raise UnreachableError(f"demo-1: {reason}", phase="connection")

    project = fake_project()
    node_run = new_run(project, Later())
    virtual.run(ManualClock(), node_run.connect_until(60.0))
    told = [one.text for one in project.ears.received if isinstance(one, PhaseProgress)]
    assert told == ["nothing listens", "not ready yet", "nothing listens"]
