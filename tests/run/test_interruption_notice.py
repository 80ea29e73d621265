"""An announced interruption ends a journey at once, in the cloud's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.errors import PayloadError
from spotdeploy.model import Fate, FateKind, Manifest, Phase
from spotdeploy.node.connection import Dialer, NodeConnection
from spotdeploy.provider import SupportsInterruptionNotice
from spotdeploy.run.context import Plan
from spotdeploy.run.liveness import AnnouncedError, Liveness, unless_lost
from spotdeploy.run.location import Location
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.fake.provider import FakeProvider
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


class Telling(FakeProvider, SupportsInterruptionNotice):
    """A fake cloud that announces on the node."""

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


async def test_an_announcement_ends_the_journey_with_the_clouds_words(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), ["", "spot termination at 12:00"])
    with pytest.raises(AnnouncedError, match="spot termination at 12:00") as caught:
        await unless_lost(asyncio.sleep(3600), watch, node_run, every=0.01)
    assert caught.value.fate.kind is FateKind.INTERRUPTED
    assert caught.value.phase == "deploy"


async def test_without_an_announcement_the_journey_goes_to_its_end(
    fake_project: FakeProjects,
) -> None:
    node_run, watch = await a_run(fake_project(), [])
    await unless_lost(asyncio.sleep(0.1), watch, node_run, every=0.01)


async def test_the_journeys_own_failure_comes_through(fake_project: FakeProjects) -> None:
    async def pipeline() -> None:
        raise PayloadError("n: it failed", phase="deploy")

    node_run, watch = await a_run(fake_project(), [])
    with pytest.raises(PayloadError, match="it failed"):
        await unless_lost(pipeline(), watch, node_run, every=0.01)
