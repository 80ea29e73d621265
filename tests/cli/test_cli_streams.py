"""What a terminal cannot show, or nobody reads, changes no exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spotdeploy.cli.screen import PlainScreen
from spotdeploy.cli.streams import printed_json
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake.faults import SlowCall
from spotdeploy.testing.fake.store import FileStore

SPOTDEPLOY = (sys.executable, "-m", "spotdeploy")
NAME = "Grüße → „fertig“ ✓ 🚀"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "deploy.sh").write_text("#!/bin/sh\n")
    (tmp_path / "spotdeploy.toml").write_text(
        'deployment = "streams"\nproviders = ["fake"]\n'
        '[payload]\npath = "instance"\nentry = "deploy.sh"\n'
        f'[provider.fake]\nstate = "{tmp_path / "cloud.json"}"\n'
        f'[[checks]]\ntype = "command"\nname = "{NAME}"\ncommand = "true"\n',
        "utf-8",
    )
    return tmp_path


def run(folder: Path, words: Sequence[str], encoding: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding} if encoding else dict(os.environ)
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, encoding="latin-1", check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "koi8-r", "cp1252"])
def test_a_character_that_cannot_be_shown_is_spelled_out(folder: Path, encoding: str) -> None:
    done = run(folder, [*SPOTDEPLOY, "plan"], encoding)
    assert done.returncode == 0, done
    assert "\\U0001f680" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "koi8-r", "cp1252"])
def test_json_is_json_in_every_locale(folder: Path, encoding: str) -> None:
    done = run(folder, [*SPOTDEPLOY, "config", "--json"], encoding)
    assert done.returncode == 0, done
    assert NAME in str(json.loads(done.stdout.encode("latin-1")))


def test_json_for_a_stream_of_utf_8_is_as_it_was() -> None:
    assert printed_json('"ü🚀"', io.TextIOWrapper(io.BytesIO(), "UTF8")) == '"ü🚀"'
    assert (
        printed_json('"ü🚀"', io.TextIOWrapper(io.BytesIO(), "ascii")) == '"\\u00fc\\ud83d\\ude80"'
    )


def test_a_screen_of_another_charset_shows_what_it_can() -> None:
    raw = io.BytesIO()
    screen = PlainScreen(io.TextIOWrapper(raw, "iso-8859-1"))
    screen.say("läuft → fertig")
    screen.say("weiter")
    assert raw.getvalue().decode("latin-1") == "läuft \\u2192 fertig\nweiter\n"


@pytest.mark.parametrize("command", ["schema", "list --json"])
@pytest.mark.parametrize("how", ["| true", "2>&1 | true", "| head -c 1", ">&-", "<&- >&- 2>&-"])
def test_whoever_reads_the_output_the_exit_code_is_the_commands(
    folder: Path, command: str, how: str
) -> None:
    line = f"{' '.join(SPOTDEPLOY)} {command} {how}; exit ${{PIPESTATUS[0]}}"
    done = run(folder, ["bash", "-c", line])
    assert done.returncode == 0, done
    assert "Error" not in done.stderr, done


def test_unbuffered_streams_last_too(folder: Path) -> None:
    line = f"PYTHONUNBUFFERED=1 {' '.join(SPOTDEPLOY)} schema | true; exit ${{PIPESTATUS[0]}}"
    assert run(folder, ["bash", "-c", line]).returncode == 0


def test_a_refusal_that_nobody_reads_is_a_refusal(folder: Path) -> None:
    (folder / "spotdeploy.toml").write_text("deployment = 3\n")
    for how in ("2>&1 | true", "2>&-", ">&- 2>&-"):
        line = f"{' '.join(SPOTDEPLOY)} plan {how}; exit ${{PIPESTATUS[0]}}"
        assert run(folder, ["bash", "-c", line]).returncode == 2


@pytest.mark.parametrize("command", ["schema", "history", "config", "--help"])
def test_a_full_disk_is_no_reader_that_went_away(folder: Path, command: str) -> None:
    done = run(folder, ["bash", "-c", f"{' '.join(SPOTDEPLOY)} {command} > /dev/full"])
    words = (
        "error: cannot write to standard output: No space left on device\ntry: free disk space\n"
    )
    assert (done.returncode, done.stderr) == (2, words)


def test_ctrl_c_ends_a_command_that_begins_no_run_as_stopped(folder: Path) -> None:
    FakeCloud(FileStore(folder / "cloud.json")).script(SlowCall(call="nodes", seconds=4.0))
    process = subprocess.Popen([*SPOTDEPLOY, "list"], cwd=folder, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err
