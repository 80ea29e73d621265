"""Shipping, with the real script on the other end of a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from spotdeploy.config.schema import Payload
from spotdeploy.errors import NodeError, UnreachableError
from spotdeploy.node import exec as on_node
from spotdeploy.node import paths
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.phases import ship
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from tests.fake_project import FakeProject, configured
from tests.phases.test_ship_memory import resident
from tests.ssh_server import NODE, Commands, LetsIn, served

pytestmark = pytest.mark.enable_socket


@dataclass
class Shipping:
    """A payload that was planned, and the node it goes to."""

    tree: Path
    node: Path
    node_run: NodeRun

    async def ship(self) -> None:
        await ship.deliver(self.node_run)


@pytest.fixture
async def shipping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_project: Callable[..., FakeProject]
) -> AsyncIterator[Shipping]:
    for name in ("ROOT", "PAYLOAD", "UPLOADED", "MANIFEST"):
        path = str(getattr(paths, name)).replace("/opt", str(tmp_path / "node"), 1)
        monkeypatch.setattr(paths, name, path)
    tree = tmp_path / "tree"
    (tree / "logs").mkdir(parents=True)
    (tree / "build.log").write_bytes(b"x" * 700_000)
    (tree / "file").write_text("x")
    (tree / "link").symlink_to("file")
    run = configured(fake_project().run, payload=Payload(path=str(tree)))
    plan = Plan(read_manifest(run.project.settings))
    async with served(LetsIn()) as connection:
        await connection.connect()
        node_run = NodeRun(replace(run, plan=plan), run.locations[0], NODE, connection)
        yield Shipping(tree, tmp_path / "node", node_run)


async def test_a_file_keeps_its_time_a_link_its_target_and_an_empty_folder_is_there(
    shipping: Shipping,
) -> None:
    await shipping.ship()
    there = shipping.node / "spotdeploy/payload"
    assert str((there / "link").readlink()) == "file"
    assert (there / "logs").is_dir()
    before, after = (path / "build.log" for path in (shipping.tree, there))
    assert int(before.stat().st_mtime) == after.stat().st_mtime
    assert ship.changed_here(shipping.node_run.run) == ""


def remove(file: Path) -> None:
    file.unlink()


def shrink(file: Path) -> None:
    file.write_bytes(b"x")


def rewrite(file: Path) -> None:
    file.write_bytes(b"y" * 700_000)


@pytest.mark.parametrize(
    ("change", "how"), [(remove, "is gone"), (shrink, "changed"), (rewrite, "changed")]
)
async def test_a_file_that_changed_here_is_named_and_not_called_the_nodes(
    shipping: Shipping, change: Callable[[Path], None], how: str
) -> None:
    change(shipping.tree / "build.log")
    with pytest.raises(NodeError) as caught:
        await shipping.ship()
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.message.endswith(
        f"the payload changed on this computer after the plan was made: payload/build.log {how}"
    )
    assert not (shipping.node / "spotdeploy/manifest").exists()


async def test_what_is_appended_or_new_is_shipped_as_planned_and_named_afterwards(
    shipping: Shipping,
) -> None:
    with (shipping.tree / "build.log").open("ab") as file:
        file.write(b"more")
    for number in range(20):
        (shipping.tree / f"new-{number:02}").touch()
    await shipping.ship()
    assert (shipping.node / "spotdeploy/payload/build.log").stat().st_size == 700_000
    named = ship.changed_here(shipping.node_run.run)
    assert named.startswith("payload/build.log changed; payload/new-00 is new; ")
    assert named.endswith("; and 11 more")


async def test_a_refusal_of_the_node_is_not_blamed_on_a_change_here(shipping: Shipping) -> None:
    (shipping.tree / "new").touch()
    (shipping.node / "uploaded_files").mkdir(parents=True)
    with pytest.raises(UnreachableError) as caught:
        await shipping.ship()
    assert "on this computer" not in caught.value.message


class Floods(Commands):
    """Answers the bundle with output without end."""

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if "sh -s" in (process.command or ""):
            return await super().process(process)
        for _ in range(120):
            process.stderr.write(b"z" * (1 << 20))
            process.stdout.write(b"z" * (1 << 20))
            await process.stderr.drain()
            await process.stdout.drain()
        return process.exit(1)


async def test_what_a_node_prints_meanwhile_is_bounded(
    tmp_path: Path, fake_project: Callable[..., FakeProject]
) -> None:
    run = fake_project().run
    async with served(LetsIn(), commands=Floods()) as connection:
        await connection.connect()
        node_run = NodeRun(run, run.locations[0], NODE, connection)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        with pytest.raises(UnreachableError) as caught:
            await asyncio.wait_for(ship.deliver(node_run), 60)
    assert len(caught.value.message) < 1000
    assert resident("VmHWM") - before < 40 * on_node.OUTPUT_LIMIT
