"""The reference payload's programs, run as programs."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "instance" / "scripts"
PATIENCE = 20.0


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


@contextmanager
def serving(script: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service on a free port, once it says that it serves."""
    process = subprocess.Popen(
        [sys.executable, "-B", SCRIPTS / script, "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().split()[-1]
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node.json"
    path.write_text('{"node_id": "i-1"}')
    return path


def test_readings_are_served_and_go_on_where_they_stopped(tmp_path: Path, node: Path) -> None:
    options = ("--node", str(node), "--state", str(tmp_path), "--interval", "0.05")
    with serving("sensor_generator.py", *options) as (url, _):
        assert get(f"{url}/health") == {"status": "ok", "readings": pytest.approx(1, abs=9)}
        before = get(f"{url}/readings?last=1")
        identity = get(f"{url}/identity")
    with serving("sensor_generator.py", *options) as (url, _):
        after = get(f"{url}/readings?last=1")
        assert get(f"{url}/identity") == identity
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert after[0]["sequence"] > before[0]["sequence"]
    kept = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    assert [one["sequence"] for one in kept] == list(range(1, len(kept) + 1))


def test_the_same_node_is_always_the_same_sensor_and_another_is_another() -> None:
    sensor = load("sensor_generator")
    assert sensor.identify("i-1") == sensor.identify("i-1")
    assert sensor.identify("i-1").sensor_id != sensor.identify("i-2").sensor_id


def test_a_full_journal_is_set_aside_and_the_last_reading_still_found(tmp_path: Path) -> None:
    sensor = load("sensor_generator")
    journal = sensor.Journal(tmp_path / "readings.jsonl", limit=300)
    generator = sensor.Generator(sensor.identify("i-1"), None)
    for second in range(10):
        journal.append(generator.next(float(second)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1000
    assert journal.last().sequence == 10


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    sensor = load("sensor_generator")
    journal = sensor.Journal(tmp_path / "readings.jsonl")
    journal.append(sensor.Generator(sensor.identify("i-1"), None).next(1.0))
    with (tmp_path / "readings.jsonl").open("a") as file:
        file.write('{"sequence": 2, "at"')
    assert journal.last().sequence == 1


def test_the_stand_in_says_that_it_is_one() -> None:
    with serving("bacalhau_stand_in.py") as (url, _):
        assert get(f"{url}/api/v1/agent/alive") == {"Status": "OK", "StandIn": True}


def test_the_stand_in_ends_at_once_whichever_of_its_threads_the_signal_reaches() -> None:
    with serving("bacalhau_stand_in.py") as (url, process):
        get(f"{url}/api/v1/agent/alive")
        threads = sorted(int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir())
        assert len(threads) > 1
        assert ctypes.CDLL(None).tgkill(process.pid, threads[-1], signal.SIGTERM) == 0
        assert process.wait(PATIENCE) == 0


def test_the_users_binary_is_run_where_there_is_one(tmp_path: Path) -> None:
    launcher = load("bacalhau_launcher")
    assert launcher.command(tmp_path)[-1].endswith("bacalhau_stand_in.py")
    binary = tmp_path / "bacalhau"
    binary.write_text("#!/bin/sh\n")
    with pytest.raises(PermissionError, match="is not executable; upload it with mode 0755"):
        launcher.command(tmp_path)
    binary.chmod(0o755)
    assert launcher.command(tmp_path)[:2] == [str(binary), "serve"]


SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
[ "$1" != is-active ] || {{ echo {state}; }}
"""


def deploy(folder: Path, units: dict[str, str], state: str = "active") -> tuple[int, str, str]:
    """Run the entry below a folder, with a systemctl that says `state` of every unit."""
    for name in ("bin", "services", "root"):
        (folder / name).mkdir()
    for name, text in units.items():
        (folder / "services" / name).write_text(text)
    asked = folder / "asked"
    for name in ("systemctl", "journalctl"):
        program = folder / "bin" / name
        program.write_text(SYSTEMCTL.format(log=asked, state=state))
        program.chmod(0o755)
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            SCRIPTS / "deploy_services.py",
            "--root",
            folder / "root",
            "--services",
            folder / "services",
            "--within",
            "0.3",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SPOTDEPLOY_NODE_ID": "i-1"},
    )
    return done.returncode, done.stdout, asked.read_text() if asked.exists() else ""


UNIT = f"[Service]\nExecStart={sys.executable} -V\n[Install]\nWantedBy=multi-user.target\n"


def test_units_are_installed_enabled_and_started_and_every_line_has_its_time(
    tmp_path: Path,
) -> None:
    code, output, asked = deploy(tmp_path, {"a.service": UNIT, "b.service": UNIT})
    assert code == 0
    log = (tmp_path / "root/opt/deployment.log").read_text()
    assert log == output
    for line in log.splitlines():
        time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S")
    assert (tmp_path / "root/etc/systemd/system/a.service").read_text() == UNIT
    assert "enable a.service b.service" in asked
    assert json.loads((tmp_path / "root/etc/spotdeploy/node.json").read_text())["node_id"] == "i-1"


def test_a_unit_that_does_not_become_active_fails_the_deployment_by_name(tmp_path: Path) -> None:
    code, output, _ = deploy(tmp_path, {"a.service": UNIT}, state="failed")
    assert code == 1
    assert "FAILED: not active within 0s: a.service" in output


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("[Unit]\nDescription=x\n", "a.service has no ExecStart in a [Service] section"),
        ("[Service]\nExecStart=/no/such/program\n", "runs /no/such/program, which is not there"),
        ("no section at all", "a.service cannot be read"),
    ],
)
def test_a_unit_that_cannot_work_is_refused_before_anything_is_installed(
    tmp_path: Path, unit: str, message: str
) -> None:
    code, output, asked = deploy(tmp_path, {"a.service": unit})
    assert code == 1
    assert message in output
    assert asked == ""


def test_no_units_at_all_is_a_failure(tmp_path: Path) -> None:
    code, output, _ = deploy(tmp_path, {})
    assert code == 1
    assert "FAILED: no *.service in" in output
