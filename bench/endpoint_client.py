"""`spotdeploy verify` of N endpoints, by the core itself; prints what it cost as JSON.

Run in a network namespace of its own: unshare --net python bench/endpoint_client.py N
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from spotdeploy.check import Mandatory
from spotdeploy.config.schema import Config, Settings
from spotdeploy.cycle.runbook import run_verify
from spotdeploy.events import Bus
from spotdeploy.model import Node, NodeState
from spotdeploy.node import keys
from spotdeploy.phases import plan
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.report.event_log import EventLog
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider

HERE = Path(__file__).resolve().parent
DEPLOYMENT = "endpoints"


class Endpoints(FakeProvider):
    """A cloud whose nodes are addresses of the loopback network."""

    poll_seconds = 5.0

    def __init__(self, count: int) -> None:
        super().__init__(FakeConfig(), "loopback", FakeCloud())
        self._nodes = [
            Node(
                id=f"e-{n}",
                name=f"endpoint-{n}",
                provider=self.name,
                location=self.location,
                state=NodeState.RUNNING,
                address=f"127.9.{n // 250}.{n % 250 + 1}",
            )
            for n in range(count)
        ]

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return self._nodes


class Files(threading.Thread):
    """Looks again and again how many files are open, but a fiftieth of the time at most: that is
    in the CPU measured."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.done = threading.Event()

    def run(self) -> None:
        pause = 0.01
        while not self.done.wait(pause):
            began = time.monotonic()
            self.most = max(self.most, sum(1 for _ in Path("/proc/self/fd").iterdir()))
            pause = max(0.01, 50 * (time.monotonic() - began))


def memory(field: str) -> int:
    """Bytes, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def run_of(count: int, folder: Path, tables: Sequence[dict[str, Any]]) -> Run:
    """A run of these checks and no others, whose provider has that many endpoints, all of them
    known to the journal."""
    config = Config(deployment=DEPLOYMENT, checks=tuple(tables))
    settings = Settings(config=config, path=folder / "spotdeploy.toml")
    provider = Endpoints(count)
    project = Project(settings, Plugins(folder), (provider.name,))
    found = plan.read_checks(project)
    asked = Plan(checks=tuple(check for check in found if check.mandatory is Mandatory.NEVER))
    journal, log = Journal(project.journal_path), EventLog()
    run = Run(project, "run-1", asked, (Location(provider, "loopback"),), journal, Bus(log))
    log.open(run.folder)
    journal.seen(provider.nodes({}), DEPLOYMENT)
    pair = keys.make(project.keys_folder, DEPLOYMENT)
    for node in provider.nodes({}):
        journal.pin(node, pair.bootstrap_host.public)  # the one key of the far side
    return run


def measure(count: int, tables: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Verify once. Seconds, bytes and files."""
    run = run_of(count, folder, tables)
    keys_folder = run.project.keys_folder
    host, login = keys_folder / "bootstrap_host", keys_folder / "id_ed25519.pub"
    server = subprocess.Popen(
        [sys.executable, HERE / "endpoint_server.py", host, login], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        before, files = memory("VmRSS"), Files()
        files.start()
        began, cpu = time.monotonic(), time.process_time()
        outcome = asyncio.run(run_verify(run))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        files.done.set()
    finally:
        server.kill()
        server.wait()
    passed = [node for node in outcome.nodes if node.verdict == "passed"]
    words = next((node.message for node in outcome.nodes if node.verdict != "passed"), "")
    grown = max(0, memory("VmHWM") - before)
    return {
        "nodes": count,
        "passed": len(passed),
        "words": words,
        "seconds": seconds,
        "cpu": cpu,
        "bytes": grown,
        "files": files.most,
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def main() -> None:
    """Read the checks from standard input, as a JSON list of tables."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        tables = msgspec.json.decode(sys.stdin.buffer.read())
        print(json.dumps(measure(int(sys.argv[1]), tables, Path(folder))))


if __name__ == "__main__":
    main()
