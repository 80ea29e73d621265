"""What is brought back from a node, and what must never happen while it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.config.schema import Evidence
from spotdeploy.errors import ProviderError, UnreachableError
from spotdeploy.events import EvidenceKept
from spotdeploy.model import Manifest, Node, NodeState, PayloadFile
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.diagnostics import DIAGNOSTICS, JOURNAL_LINES
from spotdeploy.phases.evidence import (
    CONSOLE,
    FILE_LIMIT,
    INDEX,
    NODE_LIMIT,
    collect,
    diagnostics,
    folder_name,
)
from spotdeploy.redact import Redactor
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.connection import ScriptedConnection
from spotdeploy.text import hide
from tests.fake_project import FakeProject, configured

FakeProjects = Callable[..., FakeProject]
NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)


class Line(ScriptedConnection):
    """A scripted connection that stands, or cannot be made."""

    @property
    def connected(self) -> bool:
        return False

    async def connect(self, timeout: float = 15.0) -> None:
        del timeout
        if not self.reachable:
            raise UnreachableError("demo-1: no answer", phase="connection")


class NoisyCheck(Check[CheckSettings]):
    """A check that names its log."""

    kind = "noisy"
    Settings = CheckSettings

    def title(self) -> str:
        return "noisy"

    def evidence(self) -> Sequence[str]:
        return ("/var/log/noisy.log",)

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node, connection
        return self.failed("it is noisy")


def new_run(
    fake_project: FakeProject,
    line: ScriptedConnection,
    *,
    plan: Plan | None = None,
    secrets: Sequence[str] = (),
) -> NodeRun:
    hide("demo", Redactor(secrets).excerpt)
    run = replace(fake_project.run, plan=plan or Plan())
    connection = cast("NodeConnection", line)
    return NodeRun(run, run.locations[0], NODE, connection)


def index(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob(f"*/{INDEX}")
    return {item["file"]: item for item in json.loads(path.read_bytes())}


async def test_every_look_is_a_file_in_a_folder_of_the_nodes_own(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    here = fake_project()
    output = CommandResult(0, "it is well\n", "")
    await collect(new_run(here, Line(otherwise=output)), tmp_path / "evidence")
    found = index(tmp_path / "evidence")
    assert set(found) == {diagnostic.file for diagnostic in DIAGNOSTICS}
    assert all(item["complete"] for item in found.values())
    log = tmp_path / "evidence" / folder_name(NODE) / "deployment.log"
    assert log.read_text() == "it is well"
    (kept,) = [event for event in here.ears.received if isinstance(event, EvidenceKept)]
    assert (kept.folder, kept.files) == (f"evidence/{folder_name(NODE)}", len(DIAGNOSTICS))


async def test_secrets_are_not_in_any_file(fake_project: FakeProjects, tmp_path: Path) -> None:
    output = CommandResult(1, "token \x1b[1mhunter\x1b[0m2000", "also hunter2000")
    node_run = new_run(fake_project(), Line(otherwise=output), secrets=["hunter2000"])
    await collect(node_run, tmp_path / "evidence")
    texts = [path.read_text() for path in (tmp_path / "evidence").glob("*/*")]
    assert len(texts) == len(DIAGNOSTICS) + 1
    assert not [text for text in texts if "hunter2000" in text]
    assert "token [redacted]" in texts


async def test_output_without_end_is_cut_and_said_to_be_incomplete(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    node_run = new_run(fake_project(), Line(otherwise=CommandResult(0, "x" * (2 * FILE_LIMIT), "")))
    items = await collect(node_run, tmp_path)
    assert len(items) * FILE_LIMIT > NODE_LIMIT
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.txt")]
    assert max(sizes) <= FILE_LIMIT
    assert sum(item.bytes for item in items) <= NODE_LIMIT
    assert not [item for item in items if item.complete]


async def test_what_a_look_may_have_left_out_makes_it_incomplete(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    full = CommandResult(0, "line\n" * JOURNAL_LINES, "")
    await collect(new_run(fake_project(), Line(otherwise=full)), tmp_path)
    found = index(tmp_path)
    assert not found["journal.txt"]["complete"]
    assert found["disk.txt"]["complete"]


async def test_a_look_that_failed_says_why_and_is_incomplete(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    denied = CommandResult(1, "", "dmesg: Operation not permitted")
    await collect(new_run(fake_project(), Line(otherwise=denied)), tmp_path)
    item = index(tmp_path)["kernel.txt"]
    assert (item["complete"], item["problem"]) == (False, "dmesg: Operation not permitted")


async def test_a_node_that_ssh_never_reached_shows_its_console(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    here = fake_project()
    creation = await here.create()
    node_run = new_run(here, Line(reachable=False))
    node_run.node = creation.nodes[0]
    await collect(node_run, tmp_path)
    found = index(tmp_path)
    assert list(found) == [CONSOLE]


async def test_a_connection_that_dies_while_looking_leaves_the_console_as_well(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    class Dying(Line):
        async def connect(self, timeout: float = 15.0) -> None:
            del timeout  # it connects, and then nothing more comes

    here = fake_project()
    creation = await here.create()
    node_run = new_run(here, Dying(reachable=False))
    node_run.node = creation.nodes[0]
    await collect(node_run, tmp_path)
    found = index(tmp_path)
    assert CONSOLE in found
    assert "the connection was lost" in found["deployment.log"]["problem"]


async def test_a_provider_that_cannot_show_the_console_is_told_and_raises_nothing(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project()

    async def refuse(node: Node) -> str:
        raise ProviderError(f"no console for {node.name}")

    node_run = new_run(here, Line(reachable=False))
    monkeypatch.setattr(node_run.location, "console", refuse)
    await collect(node_run, tmp_path)
    assert index(tmp_path)[CONSOLE]["problem"] == "no console for demo-1"


async def test_looks_that_hang_are_given_up_and_what_came_is_kept(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    class Stuck(Line):
        async def run(
            self,
            command: Sequence[str],
            *,
            timeout: float = 30.0,
            stdin: bytes = b"",
            alone: bool = False,
        ) -> CommandResult:
            if "dmesg" in " ".join(command):
                await asyncio.Event().wait()
            return CommandResult(0, "quick", "")

    await collect(new_run(fake_project(), Stuck()), tmp_path, limit=0.05)
    found = index(tmp_path)
    assert found["journal.txt"]["bytes"] == len("quick")
    assert "did not come" in found["kernel.txt"]["problem"]
    assert not found["kernel.txt"]["complete"]


async def test_a_disk_that_takes_nothing_is_told_and_raises_nothing(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    here = fake_project()
    (tmp_path / "evidence").write_text("a file where the folder should be")
    await collect(new_run(here, Line()), tmp_path / "evidence")
    (kept,) = [event for event in here.ears.received if isinstance(event, EvidenceKept)]
    assert kept.problem.startswith(("FileExistsError", "NotADirectoryError"))


def test_config_checks_and_payload_name_further_files(
    fake_project: FakeProjects, tmp_path: Path
) -> None:
    here = fake_project()
    root = tmp_path / "instance"
    root.mkdir()
    (root / "evidence.list").write_text("# ours\n/var/log/ours.log\n\nrelative/path\n/a/b\n")
    entry = PayloadFile("payload/scripts/sensor.service", 0o644, "00", 1, root / "x")
    plan = Plan(Manifest((entry,)), (NoisyCheck(CheckSettings(type="noisy")),))
    node_run = new_run(here, Line(), plan=plan)
    node_run.run = configured(
        node_run.run,
        evidence=Evidence(files=("/a/b", "/a_b", "/var/log/other.log")),
        payload=msgspec.structs.replace(here.settings.config.payload, path=str(root)),
    )
    asked = diagnostics(node_run)[len(DIAGNOSTICS) :]
    assert [diagnostic.title for diagnostic in asked] == [
        "the journal of sensor.service",
        "/a/b",
        "/a_b",
        "/var/log/other.log",
        "/var/log/noisy.log",
        "/var/log/ours.log",
    ]
    names = [diagnostic.file for diagnostic in asked]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "/" in name or name.startswith(".")]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "x" * 300, "ü\n\x00", "-rf"])
def test_a_nodes_name_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    folder = folder_name(msgspec.structs.replace(NODE, name=name))
    assert (tmp_path / folder).resolve().parent == tmp_path.resolve()
    assert not folder.startswith((".", "-"))
    assert len(folder) < 100


def test_nodes_of_one_name_have_folders_of_their_own() -> None:
    changes = ({"provider": "aws"}, {"location": "there"}, {"id": "2"})
    others = [msgspec.structs.replace(NODE, **change) for change in changes]
    assert len({folder_name(node) for node in (NODE, *others)}) == 4
