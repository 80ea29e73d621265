"""What a listing shows and what a node reads of an interruption is confirmed by the cloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest
from msgspec.structs import replace as replace_struct

from spotdeploy.check import CommandResult
from spotdeploy.errors import PayloadError, ProviderError
from spotdeploy.events import Note
from spotdeploy.model import Fate, FateKind, Manifest, Node, NodeState, Phase
from spotdeploy.node.connection import Dialer, NodeConnection
from spotdeploy.provider import SupportsInterruptionNotice
from spotdeploy.run.context import Plan
from spotdeploy.run.liveness import Liveness, LostError, unless_lost
from spotdeploy.run.location import Location
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.fake.provider import FakeProvider
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]
ALIVE = Fate(FateKind.ALIVE, "running")
TAKEN = Fate(FateKind.INTERRUPTED, "no spot capacity")


class Telling(FakeProvider, SupportsInterruptionNotice):
    """A fake cloud that announces on the node, and whose own word comes after some questions."""

    fates: ClassVar[list[Fate | Exception]] = []

    def fate(self, node: Node) -> Fate:
        told = self.fates.pop(0) if len(self.fates) > 1 else self.fates[0]
        if isinstance(told, Exception):
            raise told
        return told

    def notice_command(self) -> Sequence[str]:
        return ["read-notice"]

    def notice(self, output: str) -> Fate | None:
        return Fate(FateKind.INTERRUPTED, output) if output else None


class Answering(NodeConnection):
    """A connection to a node that says these things, one after another."""

    answers: list[str]
    connected = True

    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        alone: bool = False,
    ) -> CommandResult:
        assert command == ["read-notice"]
        return CommandResult(0, self.answers.pop(0) if self.answers else "", "")


async def a_run(here: FakeProject, answers: list[str]) -> tuple[NodeRun, Liveness]:
    (node, *_) = (await here.create()).nodes
    location = Location(Telling(here.config, "here", here.cloud), "here")
    connection = Answering.__new__(Answering)
    connection.node = node
    connection._dialer = Dialer(location.provider)
    connection.answers = answers
    plan = Plan(Manifest(()), ())
    node_run = NodeRun(replace(here.run, plan=plan), location, node, connection, phase=Phase.DEPLOY)
    return node_run, Liveness(here.run, location, here.run.scope)


async def test_an_announcement_ends_the_pipeline_once_the_cloud_confirms_it(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), ["", *["spot termination at 12:00"] * 9])
    silent = ProviderError("the cloud is out")
    Telling.fates[:] = [ALIVE, silent, KeyError("a bug"), ALIVE, TAKEN]
    with pytest.raises(LostError, match="no spot capacity") as caught:
        await unless_lost(asyncio.sleep(3600), watch, node_run, every=0.01)
    assert caught.value.fate.kind is FateKind.INTERRUPTED
    assert caught.value.phase == "deploy"
    assert node_run.announced == Fate(FateKind.INTERRUPTED, "spot termination at 12:00")
    assert "KeyError: 'a bug'" in (node_run.run.folder / "traces.txt").read_text()


async def test_an_announcement_that_the_cloud_never_confirms_ends_nothing(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), ["somebody says so"] * 99)
    Telling.fates[:] = [ALIVE]
    await unless_lost(asyncio.sleep(0.2), watch, node_run, every=0.01)


@pytest.mark.parametrize("sight", [NodeState.STOPPED, NodeState.GOING, None])
async def test_a_listing_alone_ends_no_node(
    fake_project: FakeProjects, sight: NodeState | None
) -> None:
    node_run, watch = await a_run(fake_project(), [])
    Telling.fates[:] = [ALIVE]
    shown = [] if sight is None else [replace_struct(node_run.node, state=sight)]
    work = asyncio.ensure_future(unless_lost(asyncio.sleep(0.3), watch, node_run, every=0.01))
    while not work.done():
        watch.listed([node_run.node])
        watch.listed(shown)
        watch.listed(shown)
        await asyncio.sleep(0.01)
    await work


async def test_a_listing_without_a_node_that_the_cloud_has_lost_ends_it(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), [])
    Telling.fates[:] = [ALIVE, TAKEN]
    work = asyncio.ensure_future(unless_lost(asyncio.sleep(60), watch, node_run, every=0.01))
    while not work.done():
        watch.listed([])
        await asyncio.sleep(0.01)
    with pytest.raises(LostError, match="no spot capacity"):
        await work


async def test_an_announcement_that_breaks_its_reader_is_told_and_ends_nothing(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nested(self: Telling, output: str) -> Fate | None:
        return json.loads(output) if output else None

    monkeypatch.setattr(Telling, "notice", nested)
    here = fake_project()
    node_run, watch = await a_run(here, ['{"a":' * 100_000, ""])
    await unless_lost(asyncio.sleep(0.2), watch, node_run, every=0.01)
    notes = [event.text for event in here.ears.received if isinstance(event, Note)]
    assert [note for note in notes if "RecursionError" in note], notes


async def test_what_a_node_reads_is_shown_harmlessly(fake_project: FakeProjects) -> None:
    here = fake_project()
    node_run, watch = await a_run(here, ["\x1b[2J" + "soon " * 1000])
    Telling.fates[:] = [ALIVE]
    await unless_lost(asyncio.sleep(0.1), watch, node_run, every=0.01)
    (note,) = [event.text for event in here.ears.received if isinstance(event, Note)]
    assert "\x1b" not in note
    assert len(note) < 400


async def test_without_an_announcement_the_pipeline_goes_to_its_end(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), [])
    await unless_lost(asyncio.sleep(0.1), watch, node_run, every=0.01)


async def test_the_pipelines_own_failure_comes_through(fake_project: FakeProjects) -> None:
    async def pipeline() -> None:
        raise PayloadError("n: it failed", phase="deploy")

    node_run, watch = await a_run(fake_project(), [])
    with pytest.raises(PayloadError, match="it failed"):
        await unless_lost(pipeline(), watch, node_run, every=0.01)
