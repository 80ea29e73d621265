"""What cannot be proven gone ends the command with exit code 4, named with how to end it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest

from spotdeploy.cli.live import LiveScreen
from spotdeploy.labels import for_batch
from spotdeploy.model import Batch, Market, Offer, Verdict
from spotdeploy.run.verdict import Outcome, Receipt
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.command import run

CONFIG = """
deployment = "leaky"
providers = ["fake"]
keep = "never"
[nodes]
count = 2
[payload]
path = "instance"
entry = "e.sh"
[timeouts]
boot = "1s"
destroy = "2s"
[provider.fake]
faults = [{ kind = "stuck" }]
"""


def test_a_machine_that_never_goes_is_exit_code_4_and_the_next_cycle_creates_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    for _ in range(2):
        done = run(tmp_path, "cycle")
        assert done.returncode == 4, done
        assert "LEAKED: not proven gone:\n  leaky-m-" in done.stdout
        assert "\n  whatever else is in fake here" in done.stdout
        assert "by hand: remove m-" in done.stdout
    assert "Creating" not in done.stdout


@pytest.fixture
def many_left(tmp_path: Path) -> list[str]:
    """A project whose cloud has 60 machines that never go. Gives their ids."""
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    cloud = FakeCloud(FileStore(tmp_path / ".spotdeploy" / "fake-cloud.json"))
    labels = for_batch("leaky", "20260101-000000-abcdef", "t", "digest", 9e9)
    batch = Batch(token="t", count=60, labels=labels, user_data=b"", user="u", time_to_live=1e9)
    made, _ = cloud.create(Offer("fake", "here", "a", "small", Market.SPOT), batch)
    cloud.script(faults.Stuck(nodes=60, times=0))
    return [machine.id for machine in made]


def test_everything_that_is_left_is_named_whole_on_the_screen_and_in_every_report(
    tmp_path: Path, many_left: list[str]
) -> None:
    done = run(tmp_path, "destroy")
    assert done.returncode == 4, done
    said = done.stdout.split("\nLEAKED: not proven gone:\n")[1].splitlines()
    shown = run(tmp_path, "report").stdout.splitlines()
    (page,) = (tmp_path / ".spotdeploy" / "runs").glob("*/report.html")
    (data,) = (tmp_path / ".spotdeploy" / "runs").glob("*/report.json")
    left = json.loads(data.read_bytes())["receipts"][-1]["left"]
    for id_ in many_left:
        line = f"leaky-{id_}; by hand: remove {id_} from .spotdeploy/fake-cloud.json"
        assert f"  {line}" in said
        assert f"  {line}" in shown
        assert line in left
        assert f"<li>{line}</li>" in page.read_text()


def test_a_command_is_not_broken_by_the_width_of_the_terminal() -> None:
    command = "az resource delete --ids /subscriptions/" + "0123456789/" * 20
    stream = StringIO()
    left = tuple(f"disk d-{number}; by hand: {command}{number}" for number in range(50))
    outcome = Outcome(
        "r", "demo", Verdict.LEAKED, "not proven gone", receipts=(Receipt(left=left),)
    )
    LiveScreen(stream).conclude(outcome)
    assert [line.strip() for line in stream.getvalue().splitlines()][2:-1] == list(left)


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("call", ["account", "nodes", "destroy", "leftovers"])
def test_calls_that_are_never_answered_do_not_keep_the_command_beyond_its_limit(
    tmp_path: Path, call: str, stopped: bool
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    config = tmp_path / "spotdeploy.toml"
    kept = CONFIG.replace("never", "always").replace('{ kind = "stuck" }', "")
    config.write_text(kept)
    assert run(tmp_path, "cycle").returncode == 3, "no fake machine can be reached"
    slow = f'{{ kind = "slow-call", call = "{call}", seconds = 300, times = 0 }}'
    config.write_text(CONFIG.replace('{ kind = "stuck" }', slow))
    began = time.monotonic()
    arguments = [sys.executable, "-m", "spotdeploy", "destroy"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if stopped:
            while "Destroying" not in (line := process.stdout.readline()):
                assert line
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 4, out
    assert "; by hand: " in out
    assert time.monotonic() - began < 30, "the calls take 300 seconds"


@pytest.mark.parametrize(("call", "at"), [("destroy", 1), ("leftovers", 3), ("release", 1)])
def test_a_bug_in_a_provider_is_a_leak_that_names_its_trace_and_no_traceback(
    tmp_path: Path, call: str, at: int
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    bug = f'{{ kind = "bug", call = "{call}", at = {at}, times = 0 }}'
    (tmp_path / "spotdeploy.toml").write_text(CONFIG.replace('{ kind = "stuck" }', bug))
    done = run(tmp_path, "cycle")
    assert done.returncode == 4, done
    assert "Traceback" not in done.stderr
    (trace,) = (tmp_path / ".spotdeploy" / "runs").glob("*/traces.txt")
    assert "RecursionError: maximum recursion depth exceeded; its trace is in " in done.stdout
    assert str(trace.relative_to(tmp_path)) in done.stdout
    assert "in _delay" in trace.read_text()
