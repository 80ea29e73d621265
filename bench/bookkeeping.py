"""What the journal, the event log and the screen cost: a real cycle's events, for 1,000 nodes.

One real cycle of a few local machines gives the events of a node and the CPU that the process
took for one. The same events are then played for 1,000 nodes to what listens in a run, beside
the journal's writes for as many nodes, and their CPU is compared with a cycle's of that size.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import termios
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from rows import Row, show

from spotdeploy.cli.screen import PlainScreen
from spotdeploy.events import AnyEvent, Bus, Event, Observer
from spotdeploy.model import Market, Node, NodeState, Offer
from spotdeploy.report.event_log import EVENTS, EventLog
from spotdeploy.state.journal import Journal

ROOT = Path(__file__).resolve().parents[1]
MACHINES = (1, 11)
NODES = 1000
SHARE = 0.05
DRAWING_SECONDS = 5.0
COUNTED = """
import atexit, pathlib, runpy, sys, time
atexit.register(lambda: pathlib.Path("cpu").write_text(str(time.process_time())))
sys.argv[0] = "spotdeploy"
runpy.run_module("spotdeploy", run_name="__main__")
"""


@dataclass(frozen=True)
class Cost:
    """Seconds that something took."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Found:
    """Everything measured."""

    cycle: float
    """CPU seconds of the process for each node of a real cycle, its start left out."""
    events: int
    """Of each node."""
    costs: dict[str, Cost]
    """Of `NODES` nodes."""
    drawing: float
    """CPU seconds a second that the live table takes while nothing happens."""

    def share(self, *parts: str) -> float:
        """The part of a cycle's CPU that these cost."""
        return sum(self.costs[part].cpu for part in parts) / (self.cycle * NODES)


def measure() -> Found:
    """Run the cycles and play the events."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = (_cycle(folder / str(count), count) for count in MACHINES)
        events = _of_one_node(many[1])
        live, drawing = _live(events, folder)
        costs = {
            "event log": _play(events, folder / "log", lambda: _log(folder / "log")),
            "plain screen": _play(events, folder, lambda: _plain(folder)),
            "live screen": live,
            "journal": _journal(folder),
        }
        each = (many[0] - few[0]) / (MACHINES[1] - MACHINES[0])
        return Found(each, len(events), costs, drawing)


def _cycle(folder: Path, count: int) -> tuple[float, list[dict[str, Any]]]:
    """CPU seconds of the process, and the events, of a real cycle."""
    shutil.copytree(ROOT / "instance", folder / "instance")
    config = msgspec.toml.decode((ROOT / "spotdeploy.toml").read_bytes())
    config["deployment"] = f"b-{uuid.uuid4().hex[:8]}"
    config["nodes"]["count"] = count
    (folder / "spotdeploy.toml").write_text(tomli_w.dumps(config))
    subprocess.run(
        [sys.executable, "-c", COUNTED, "cycle", "--keep", "never"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (log,) = (folder / ".spotdeploy" / "runs").glob(f"*/{EVENTS}")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return float((folder / "cpu").read_text()), events


def _of_one_node(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    first = next(event["node"] for event in events if event["event"] == "node-created")
    return [event for event in events if event.get("node") == first]


def _play(events: Sequence[dict[str, Any]], folder: Path, observer: Callable[[], Observer]) -> Cost:
    """Hand every node's events to an observer, all nodes step by step together."""
    folder.mkdir(exist_ok=True)
    decoded: list[Event] = [
        msgspec.convert(event | {"node": f"node-{number}"}, AnyEvent)
        for event in events
        for number in range(NODES)
    ]
    bus = Bus(observer())
    return _timed(lambda: [bus.emit(event) for event in decoded])


def _timed(work: Callable[[], object]) -> Cost:
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.monotonic() - wall)


def _log(folder: Path) -> EventLog:
    log = EventLog()
    log.open(folder)
    return log


def _plain(folder: Path) -> PlainScreen:
    return PlainScreen((folder / "screen").open("w"))


def _live(events: Sequence[dict[str, Any]], folder: Path) -> tuple[Cost, float]:
    """The live table on a large terminal that somebody reads; also what drawing it takes."""
    from spotdeploy.cli.live import LiveScreen

    far, near = pty.openpty()
    termios.tcsetwinsize(near, (60, 200))
    threading.Thread(target=_drain, args=(far,), daemon=True).start()
    with os.fdopen(near, "w") as terminal, LiveScreen(terminal) as screen:
        alive = [event for event in events if event["event"] != "node-destroyed"]
        cost = _play(alive, folder, lambda: screen)
        idle = _timed(lambda: time.sleep(DRAWING_SECONDS))
        end = _play([event for event in events if event not in alive], folder, lambda: screen)
    return Cost(cost.cpu + end.cpu, cost.wall + end.wall), idle.cpu / idle.wall


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        return  # the terminal was closed


def _journal(folder: Path) -> Cost:
    """The writes of one run: intents, the nodes found, their host keys, their end."""
    journal = Journal(folder / "journal.db")
    offer = Offer("aws", "here", None, "small", Market.SPOT)
    nodes = [
        Node(id=f"i-{n}", name=f"n-{n}", provider="aws", location="here", state=NodeState.RUNNING)
        for n in range(NODES)
    ]

    def write() -> None:
        journal.begin_run("run", "demo", "cycle", "digest")
        journal.record_intent("token", "demo", "run", offer, NODES)
        journal.resolve_intent("token", "demo", "run", nodes)
        for node in nodes:
            journal.pin(node, "ssh-ed25519 " + "A" * 68)
        journal.gone("aws", "here", [node.id for node in nodes], "listing")
        journal.end_run("run", "passed", 0)

    try:
        return _timed(write)
    finally:
        journal.close()


def rows(rounds: int = 1) -> list[Row]:
    """Everything measured here; CPU does not need more than one round."""
    found = measure()
    told = [Row("a cycle, CPU a node", 1000 * found.cycle, "ms", "", None)]
    for name, cost in found.costs.items():
        told.append(Row(f"{name}, {NODES} nodes: CPU", cost.cpu, "s", "", None))
        told.append(Row(f"{name}, {NODES} nodes: time", cost.wall, "s", "", None))
    told.append(Row("live table, drawing", 100 * found.drawing, "% of a CPU", "", None))
    for screen in ("plain screen", "live screen"):
        share = found.share("event log", "journal", screen)
        what = f"bookkeeping with the {screen}"
        told.append(Row(what, 100 * share, "% of CPU", "under 5", share < SHARE))
    return told


if __name__ == "__main__":
    show(rows())
