"""Shipping the payload: 1 KB, 1 MB and 200 MB to twenty machines, 40,000 files to two, beside
`tar | ssh`.

The data are random, so incompressible; neither side compresses what it sends. Both sides end with
the files on the machine's disk (`sync`) and their sha256 compared there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from endpoint_client import memory
from machines import Machines, machines
from rows import Row, show

from spotdeploy.payload import hashes
from spotdeploy.payload.hashes import Digests
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.run.context import Run

NODES = 20
SIZES = {"1 KB": 1 << 10, "1 MB": 1 << 20, "200 MB": 200 << 20}
MANY = 40_000
"""Files of about 1 KB, as a folder of dependencies has them."""
FEW_NODES = 2
WITHIN = 1.2
BOUND_MB = 4.0
"""What ssh keeps for one node while it waits for it: a window of 2 MB, and chunks."""
BESIDE = "/opt/by-hand"


def bundle(folder: Path, size: int) -> Path:
    """A tree with one script and one file of random bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "entry.sh").write_text("true\n")
    with (folder / "data").open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))
    return folder


def many_files(folder: Path, count: int) -> Path:
    """A tree of that many small files of random bytes, 100 to a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(0, count, 100):
        below = folder / f"group-{number // 2000}" / f"package-{number // 100}"
        below.mkdir(parents=True)
        for each in range(100):
            (below / f"module-{each}.js").write_bytes(os.urandom(512 + each * 10))
    (folder / "entry.sh").write_text("true\n")
    return folder


def by_hand(there: Machines, tree: Path) -> float:
    """Seconds of `tar | ssh` to all machines side by side, each checking what it got."""
    sums = "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(tree)}\n"
        for file in tree.rglob("*")
        if file.is_file()
    )
    tree.with_name("sums").write_text(sums)
    receive = (
        f"sudo rm -rf {BESIDE}; sudo mkdir -p {BESIDE}; cd {BESIDE}; sudo tar -xf -; "
        "sha256sum --check --quiet --strict sums; sync"
    )
    began = time.monotonic()
    shells = [
        there.inside(["sh", "-c", _tar_to_ssh(there, address, tree, f"set -e; {receive}")])
        for address in there.addresses
    ]
    codes = [shell.wait() for shell in shells]
    seconds = time.monotonic() - began
    if any(codes):
        raise RuntimeError(f"tar | ssh failed: {codes}")
    return seconds


def _tar_to_ssh(there: Machines, address: str, tree: Path, receive: str) -> str:
    tar = shlex.join(["tar", "-C", str(tree), "-cf", "-", ".", "-C", str(tree.parent), "sums"])
    ssh = shlex.join(["ssh", "-F", str(there.ssh_config), address, receive])
    return f"set -e; {tar} | {ssh}"


def with_spotdeploy(there: Machines, tree: Path) -> dict[str, float]:
    """Seconds, CPU and bytes of the ship phase's delivery, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--deliver", there.folder, tree],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _deliver_all(folder: Path, tree: Path) -> dict[str, float]:
    """Deliver to every machine of a project, by the core's own ship phase."""
    from spotdeploy.events import Bus
    from spotdeploy.project import Project
    from spotdeploy.run.context import Plan, open_run

    project = Project.open(folder / "spotdeploy.toml", providers=["local"])
    manifest = build_manifest(tree)
    assert manifest.digest  # known since plan: no cost of a node
    with open_run(project, Plan(manifest), Bus()) as run:
        return await _delivered(run)


async def _delivered(run: Run) -> dict[str, float]:
    from spotdeploy.node import keys
    from spotdeploy.node.connection import Dialer, NodeConnection
    from spotdeploy.phases.ship import deliver
    from spotdeploy.run.location import list_nodes
    from spotdeploy.run.node_run import NodeRun

    login = keys.read(run.project.keys_folder, run.deployment).login.load()
    pins = {node.id: node.host_key or "" for node in run.journal.nodes(run.deployment)}
    runs = []
    for node in await list_nodes(run.all_locations, run.scope):
        location, manifest = run.location_of(node), run.plan.manifest
        dialer = Dialer(location.provider)
        connection = NodeConnection(node, dialer, "spotdeploy", login, pins[node.id], manifest)
        runs.append(NodeRun(run, location, node, connection))
    for node_run in runs:
        await node_run.connection.connect()
        await node_run.connection.run(["rm", "-rf", "/opt/spotdeploy", "/opt/uploaded_files"])
        await node_run.connection.close()
    before = memory("VmRSS")
    began, cpu = time.monotonic(), time.process_time()

    async def one(node_run: NodeRun) -> None:
        await node_run.connection.connect()
        await deliver(node_run)

    await asyncio.gather(*map(one, runs))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    for node_run in runs:
        await node_run.connection.close()
    return {"seconds": seconds, "cpu": cpu, "bytes": max(0, memory("VmHWM") - before)}


@contextmanager
def _settled(tree: Path) -> Iterator[Path]:
    """A file for digests, once the tree is old enough for them to be trusted."""
    newest = max(file.stat().st_ctime_ns for file in tree.rglob("*"))
    time.sleep(max(0.0, (newest + hashes.RACY_NS - time.time_ns()) / 1e9) + 0.1)
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / hashes.FILE


def rebuild(tree: Path) -> tuple[float, float, int]:
    """Seconds to build the manifest at first and again, and the files read the second time."""
    with _settled(tree) as kept:
        first = _build_seconds(tree, kept)
        opened: list[str] = []
        listening = True

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if listening and event == "open" and str(arguments[0]).startswith(str(tree)):
                opened.append(str(arguments[0]))

        sys.addaudithook(hear)
        again = _build_seconds(tree, kept)
        listening = False
    return first, again, len(opened)


def _build_seconds(tree: Path, kept: Path) -> float:
    began = time.monotonic()
    build_manifest(tree, digests=Digests(kept))
    return time.monotonic() - began


def rows(rounds: int = 1, nodes: int = NODES) -> list[Row]:
    """Everything measured here, each round by hand and by spotdeploy in turn."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "project").mkdir()
        with machines(folder / "project", nodes, []) as there:
            for label, size in SIZES.items():
                found += _size_rows(there, bundle(folder / "tree", size), label, rounds)
    return found + many_rows(rounds, min(nodes, FEW_NODES))


def many_rows(rounds: int = 1, nodes: int = FEW_NODES, count: int = MANY) -> list[Row]:
    """The rows of a payload of many small files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "project").mkdir()
        with machines(folder / "project", nodes, []) as there:
            tree = many_files(folder / "tree", count)
            return _size_rows(there, tree, f"{count:,} files", rounds)


def _size_rows(there: Machines, tree: Path, label: str, rounds: int) -> list[Row]:
    pairs = [(by_hand(there, tree), with_spotdeploy(there, tree)) for _ in range(rounds)]
    hand = median(seconds for seconds, _ in pairs)
    each = [cost["seconds"] / seconds for seconds, cost in pairs]
    spread = f"{min(each):.2f} to {max(each):.2f}" if rounds > 1 else ""
    ours = median(cost["seconds"] for _, cost in pairs)
    memory_each = max(cost["bytes"] for _, cost in pairs) / len(there.addresses) / 1e6
    first, again, reads = rebuild(tree)
    what = f"{label} to {len(there.addresses)} machines"
    return [
        Row(
            f"{what}, tar | ssh {hand:.2f} s, spotdeploy {ours:.2f} s",
            ours / hand,
            "times",
            "at most 1.2",
            ours / hand <= WITHIN,
            spread,
        ),
        Row(f"{what}: memory a node", memory_each, "MB", "bounded", memory_each < BOUND_MB),
        Row(f"{label} built", 1000 * first, "ms", "", None),
        Row(f"{label} built again unchanged", 1000 * again, "ms", "", None),
        Row(f"{label} built again: files read", reads, "files", "0", reads == 0),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--deliver"]:
        print(json.dumps(asyncio.run(_deliver_all(*map(Path, sys.argv[2:])))))
    elif sys.argv[1:2] == ["--many"]:
        show(many_rows(*map(int, sys.argv[2:])))
    else:
        show(rows(*map(int, sys.argv[1:])))
