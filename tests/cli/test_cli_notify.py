"""Who is told how a run ended, and that trouble with it changes nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from spotdeploy.cli import notify as telling
from spotdeploy.cli.notify import News, tell
from spotdeploy.config.schema import Notify
from spotdeploy.config.secret import Secret
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.store import FileStore
from tests.command import run as run_command

CONFIG = """
deployment = "shop"
providers = ["fake"]
[payload]
entry = "e.sh"
[provider.fake]
state = "cloud.json"
[notify]
"""
DONE = 3
"""The exit code of a cycle for which the cloud has no capacity."""
NEWS = News(
    deployment="shop",
    run="20261127-120000-abc123",
    command="cycle",
    verdict="payload failed",
    exit_code=1,
    message="1 of 3 nodes failed",
    passed=2,
    desired=3,
    seconds=12.5,
    usd=0.01,
    left=(),
    report="/x/report.html",
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is given, and answers as it is told."""

    heard: ClassVar[list[tuple[str, Any]]] = []
    status: ClassVar[int] = 204

    def do_POST(self) -> None:  # the base's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, json.loads(body)))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:  # the base's name
        self.heard.append((self.path, None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.heard.clear()
    Hook.status = 204
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/secret-path"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    FakeCloud(FileStore(tmp_path / "cloud.json")).script(faults.NoCapacity())

    def run(notify: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "spotdeploy.toml").write_text(CONFIG + notify)
        return run_command(tmp_path, *arguments, environment={**os.environ, **more})

    return run


def test_a_command_is_given_the_verdict_in_the_folder_of_the_config(
    run: Run, tmp_path: Path
) -> None:
    command = 'cat > told.json; echo "$SPOTDEPLOY_VERDICT|$SPOTDEPLOY_EXIT_CODE|$PWD" > told.txt'
    done = run(f"command = '''{command}'''", "cycle")
    assert (done.returncode, done.stderr) == (DONE, "")
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["deployment"], told["command"], told["exit_code"]) == ("shop", "cycle", DONE)
    assert (tmp_path / "told.txt").read_text() == f"{told['verdict']}|{DONE}|{tmp_path}\n"
    assert Path(told["report"]).is_file()


def test_a_destroy_runs_nothing_that_a_config_names(run: Run, tmp_path: Path) -> None:
    done = run('command = "touch told"', "destroy")
    assert done.returncode == 0, done
    assert not (tmp_path / "told").exists()


def test_a_stopped_run_is_told_too(run: Run, tmp_path: Path) -> None:
    run('command = "cat > told.json"', "plan")
    FakeCloud(FileStore(tmp_path / "cloud.json")).script(faults.SlowCall(call="create", seconds=4))
    with subprocess.Popen(
        [sys.executable, "-m", "spotdeploy", "cycle"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("Creating"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads((tmp_path / "told.json").read_text())["exit_code"] == 130


def test_a_web_hook_is_posted_the_verdict(run: Run, hook: str) -> None:
    done = run('webhook = "env:HOOK"', "cycle", HOOK=hook)
    assert (done.returncode, done.stderr) == (DONE, "")
    ((path, told),) = Hook.heard
    assert (path, told["deployment"], told["exit_code"]) == ("/secret-path", "shop", DONE)


@pytest.mark.parametrize(
    ("status", "words"), [(500, "answered 500"), (404, "answered 404"), (302, "answered 302")]
)
def test_what_a_web_hook_refuses_is_a_warning_that_hides_its_address(
    run: Run, hook: str, status: int, words: str
) -> None:
    Hook.status = status
    done = run('webhook = "env:HOOK"', "cycle", HOOK=hook)
    assert done.returncode == DONE
    assert done.stderr == f"warning: notify.webhook {words}\n"
    assert len(Hook.heard) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "the variable HOOK is not set"),
        ({"HOOK": "http://hooks.example/secret-path"}, "env:HOOK holds no https URL"),
        ({"HOOK": "file:///etc/secret-path"}, "env:HOOK holds no https URL"),
        ({"HOOK": "https://[secret-path"}, "env:HOOK holds no https URL"),
        ({"HOOK": ""}, "env:HOOK holds no https URL"),
    ],
)
def test_an_address_that_will_not_do_is_a_warning_in_plan_and_at_the_end(
    run: Run, value: Mapping[str, str], words: str
) -> None:
    planned = run('webhook = "env:HOOK"', "plan", **value)
    assert f"warning: spotdeploy.toml: notify.webhook: {words}" in planned.stdout
    done = run('webhook = "env:HOOK"', "cycle", **value)
    assert (done.returncode, done.stderr) == (DONE, f"warning: notify.webhook: {words}\n")
    assert "secret-path" not in planned.stdout + done.stdout


def test_an_address_in_the_clear_is_refused_without_showing_it(run: Run) -> None:
    done = run('webhook = "https://hooks.example/secret-path"', "plan")
    assert done.returncode == 2
    assert "notify.webhook" in done.stderr
    assert '"env:NAME" or "file:PATH"' in done.stderr
    assert "secret-path" not in done.stderr


def test_only_what_failed_is_told_when_the_config_says_so(tmp_path: Path) -> None:
    notify = Notify(command="touch told", when="failed")
    assert tell(notify, replace(NEWS, exit_code=0), tmp_path, {}) == []
    assert not (tmp_path / "told").exists()
    assert tell(notify, NEWS, tmp_path, {}) == []
    assert (tmp_path / "told").exists()


def test_a_command_that_fails_is_a_warning_with_what_it_said(tmp_path: Path) -> None:
    (problem,) = tell(Notify(command="echo no such channel >&2; exit 7"), NEWS, tmp_path, {})
    assert problem.endswith("ended with 7: no such channel")
    (problem,) = tell(Notify(command="no-such-program"), NEWS, tmp_path, {})
    assert "ended with 127" in problem
    (problem,) = tell(Notify(command="true"), NEWS, tmp_path / "gone", {})
    assert "No such file or directory" in problem


def test_a_command_that_reads_nothing_is_no_trouble(tmp_path: Path) -> None:
    assert tell(Notify(command="exec <&-; true"), NEWS, tmp_path, {}) == []


def test_a_command_that_does_not_end_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "TIMEOUT", 0.5)
    started = time.monotonic()
    (problem,) = tell(Notify(command="sleep 600 & echo $! > pid; wait"), NEWS, tmp_path, {})
    assert "did not end within" in problem
    assert time.monotonic() - started < 20
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{pid}/cmdline").read_bytes():  # a zombie
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_a_hook_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://127.0.0.1:9/secret-path\n")
    notify = Notify(webhook=Secret(f"file:{tmp_path / 'url'}"))
    (problem,) = tell(notify, NEWS, tmp_path, {})
    assert "refused" in problem
    assert "secret-path" not in problem
