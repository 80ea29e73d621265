"""Verify: twelve checks on twenty machines beside other tools, and on up to 1,000 endpoints.

Endpoints share this computer's processors with spotdeploy, so their time has the far side's part
in it; spotdeploy's own is the CPU. All endpoints are one process with one host key.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from machines import ROOT, Machines, machines
from rows import Row, show

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
NODES = 20
WORKERS = 6
"""Of pytest-xdist: the fastest of 3, 4, 6, 10 and 20 on two processors."""
FASTER = 5.0
ONLY_TWELVE = """
import runpy
from spotdeploy.phases import plan
read = plan.read_checks
plan.read_checks = lambda *given: tuple(c for c in read(*given) if c.kind != "payload")
runpy.run_module("spotdeploy", run_name="__main__")
"""
ENDPOINTS = (10, 100, 1000)
FLAT = 1.25
"""So much more than with ten counts as flat."""
FILES = 32
TWELVE: list[dict[str, Any]] = [
    {"type": "systemd", "units": ["bacalhau.service"], "stable_for": "0s"},
    {"type": "systemd", "units": ["sensor-generator.service"], "stable_for": "0s"},
    {"type": "systemd", "units": ["ssh.service"], "stable_for": "0s"},
    {"type": "http", "port": 8081, "path": "/health", "from": "node"},
    {"type": "http", "port": 1234, "path": "/api/v1/agent/alive", "from": "node"},
    {"type": "tcp", "port": 22, "banner": "SSH-2.0", "from": "node"},
    {"type": "file", "path": "/etc/passwd", "mode": "0644", "owner": "root", "group": "root"},
    {"type": "file", "path": "/etc/os-release", "contains": "debian"},
    {"type": "file", "path": "/etc/group", "mode": "0644"},
    {"type": "log", "path": "/opt/deployment.log", "pattern": "."},
    {"type": "command", "command": "uname -s", "contains": "Linux"},
    {"type": "command", "command": ["id", "-u"], "contains": "0"},
]


def whole(there: Machines) -> float:
    """Seconds of `spotdeploy verify`: the twelve, and the check `payload` besides."""
    began = time.monotonic()
    there.spotdeploy("verify")
    return time.monotonic() - began


def spotdeploy(there: Machines) -> float:
    """Seconds of the same command without the check `payload`, which the others have not, and
    which would turn red at their logins."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", ONLY_TWELVE, "verify"],
        cwd=there.folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def testinfra(there: Machines) -> float:
    """Seconds of pytest-testinfra, its ssh backend and xdist."""
    hosts = ",".join(f"ssh://{address}" for address in there.addresses)
    return _timed(
        there,
        [
            ROOT / ".bench/testinfra/bin/python",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n",
            str(WORKERS),
            f"--hosts={hosts}",
            f"--ssh-config={there.ssh_config}",
            "--sudo",
            f"--rootdir={PEERS}",
            "-c",
            "/dev/null",
            PEERS / "test_twelve.py",
        ],
    )


def ansible(there: Machines) -> float:
    """Seconds of ansible-playbook, with pipelining and a fork for each machine."""
    inventory = there.folder / "inventory"
    inventory.write_text(
        "".join(f"{a} ansible_python_interpreter=/usr/bin/python3\n" for a in there.addresses)
    )
    binary = ROOT / ".bench/ansible/bin/ansible-playbook"
    return _timed(there, [binary, "-i", inventory, "-f", str(NODES), PEERS / "twelve.yml"])


TOOLS = (spotdeploy, testinfra, ansible)


def _timed(there: Machines, line: list[str | Path]) -> float:
    """Seconds; nothing of an earlier round's connections is left."""
    with tempfile.TemporaryDirectory(dir="/tmp") as masters:
        config = there.ssh_config.read_text().partition("    ControlPath")[0]
        there.ssh_config.write_text(f"{config}    ControlPath {masters}/%C\n")
        multiplex = f"-F {there.ssh_config} -o ControlMaster=auto -o ControlPersist=60s"
        environment = os.environ | {
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": multiplex,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": masters,
            "ANSIBLE_LOCAL_TEMP": masters,
            "ANSIBLE_HOME": masters,
            "ANSIBLE_NOCOLOR": "1",
        }
        began = time.monotonic()
        process = there.inside(
            line,
            cwd=there.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = process.communicate()[0].decode()
        seconds = time.monotonic() - began
        _close_masters(there, Path(masters))
        if process.returncode != 0:
            raise RuntimeError(f"{line[0]} failed:\n{said[-3000:]}")
        return seconds


def _close_masters(there: Machines, folder: Path) -> None:
    for socket in folder.rglob("*"):
        if socket.is_socket():
            there.inside(["ssh", "-O", "exit", "-S", socket, "x"], stderr=subprocess.DEVNULL).wait()


def endpoints(count: int, *, open_files: int | None = None) -> dict[str, Any]:
    """What verifying that many endpoints cost; see endpoint_client.py."""
    limit = ["prlimit", f"--nofile={open_files}:"] if open_files else []
    done = subprocess.run(
        [*limit, "unshare", "--net", sys.executable, HERE / "endpoint_client.py", str(count)],
        input=json.dumps(TWELVE).encode(),
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if found["passed"] != count:
        raise RuntimeError(f"only {found['passed']} of {count} passed: {found['words']}")
    return found


def machine_rows(rounds: int) -> list[Row]:
    """The whole command first, while nobody else has logged in; then the twelve, in turns."""
    folder = Path(tempfile.mkdtemp())
    try:
        with machines(folder, NODES, TWELVE) as there:
            complete = [whole(there) for _ in range(rounds)]
            turns = [[tool(there) for tool in TOOLS] for _ in range(rounds)]
    finally:
        shutil.rmtree(folder)
    ours, *others = zip(*turns, strict=True)
    what = f"verify {NODES} machines"
    rows = [
        Row(
            f"{what}, the check payload as well", median(complete), "s", "", None, _spread(complete)
        )
    ]
    for tool, theirs in zip(TOOLS[1:], others, strict=True):
        ratio = median(theirs) / median(ours)
        told = f"{tool.__name__} {median(theirs):.1f} s, spotdeploy {median(ours):.1f} s"
        each = [other / own for own, other in zip(ours, theirs, strict=True)]
        rows.append(
            Row(
                f"{what}, {told}",
                ratio,
                "times faster",
                "at least 5",
                ratio >= FASTER,
                _spread(each),
            )
        )
    return rows


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else ""


def endpoint_rows() -> list[Row]:
    """From 10 to 1,000 endpoints."""
    rows, first = [], 0.0
    for count in ENDPOINTS:
        found = endpoints(count)
        cpu, size = 1000 * found["cpu"] / count, found["bytes"] / count / 1e6
        what, more = f"verify {count} endpoints", found["files"] - count
        first = first or cpu
        rows += [
            Row(f"{what}: CPU a node", cpu, "ms", "flat", cpu <= first * FLAT),
            Row(f"{what}: time a node", 1000 * found["seconds"] / count, "ms", "", None),
            Row(f"{what}: memory a node", size, "MB", "under 1", size < 1),
            Row(f"{what}: files beside one a node", more, "files", "constant", more <= FILES),
        ]
    return rows


def rows(rounds: int = 1) -> list[Row]:
    """Everything measured here."""
    return endpoint_rows() + machine_rows(rounds)


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:])))
