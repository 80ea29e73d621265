"""A payload passes through memory in pieces, however large it is and however many nodes get it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from spotdeploy.payload.manifest import build_manifest
from spotdeploy.phases import ship
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from tests.fake_project import FakeProject
from tests.ssh_server import NODE, Commands, LetsIn, served

pytestmark = pytest.mark.enable_socket
SIZE = 100 << 20
NODES = 3
BOUND = 48 << 20
"""Both ends of all connections are in this process: 2 MB of window each, and chunks."""


def resident(field: str) -> int:
    """Bytes of this process that are in memory, now or at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


class Counts(Commands):
    """Counts the bytes that a command is given, and runs only shells."""

    def __init__(self) -> None:
        super().__init__()
        self.received = 0

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if "sh -s" in (process.command or ""):
            return await super().process(process)
        while data := await process.stdin.read(1 << 16):
            self.received += len(data)
        return process.exit(0)


async def test_shipping_to_several_nodes_takes_less_memory_than_the_payload_has_bytes(
    tmp_path: Path, fake_project: Callable[..., FakeProject]
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as file:
        file.truncate(SIZE)
    counts = [Counts() for _ in range(NODES)]
    run = fake_project().run
    plan = Plan(build_manifest(tree), ())
    async with AsyncExitStack() as stack:
        ends = [
            await stack.enter_async_context(served(LetsIn(), commands=count)) for count in counts
        ]
        runs = [NodeRun(replace(run, plan=plan), run.locations[0], NODE, end) for end in ends]
        await asyncio.gather(*(node_run.connection.connect() for node_run in runs))
        Path("/proc/self/clear_refs").write_text("5")  # what it had at most counts from now on
        before = resident("VmRSS")
        await asyncio.gather(*(ship.deliver(node_run) for node_run in runs))
        grown = resident("VmHWM") - before
    assert all(count.received > SIZE for count in counts)
    assert grown < BOUND
