"""Who is to blame: the payload for what a node says, nobody's payload for a node that is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.errors import PayloadError, UnreachableError
from spotdeploy.model import Manifest, Node, NodeState
from spotdeploy.node.connection import NodeConnection
from spotdeploy.phases.deploy import UNIT, deploy
from spotdeploy.phases.reboot import reboot
from spotdeploy.phases.verify import verify
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.connection import ScriptedConnection
from tests.fake_project import FakeProject
from tests.properties import virtual

FakeProjects = Callable[..., FakeProject]
NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
TIMED_OUT = CommandResult(124, "", "no end within 30s")
REFUSED = CommandResult(1, "", "Access denied")
STARTED, OK = {"systemd-run": CommandResult(0, "", "")}, CommandResult(0, "", "")


class Settings(CheckSettings, frozen=True, kw_only=True):
    """No keys of its own."""


class Failing(Check[Settings]):
    """A check that got no answer in its time."""

    kind = "failing"
    Settings = Settings

    def title(self) -> str:
        return "failing"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        return self.failed("exit code 124: no end within 30s")


class Silent(Failing):
    """A check that never answers."""

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        await asyncio.Event().wait()
        raise AssertionError("nothing ends that wait")


class Line(ScriptedConnection):
    """A connection that can be asked whether it stands, and made again or not."""

    node = NODE
    connected = True

    async def connect(self, timeout: float = 15.0) -> None:
        if not self.reachable:
            raise UnreachableError("demo-1: no answer within 10s", phase="connection")
        self.connected = True


class Cut(Line):
    """A link that has failed, which no one has noticed: every command runs out of time."""

    async def connect(self, timeout: float = 15.0) -> None:
        raise UnreachableError(f"demo-1: no answer within {timeout:.0f}s", phase="connection")


def new_run(fake_project: FakeProject, line: Line, *checks: Check[Any]) -> NodeRun:
    plan = Plan(Manifest(()), checks)
    here = fake_project.run.locations[0]
    return NodeRun(replace(fake_project.run, plan=plan), here, NODE, cast("NodeConnection", line))


def failing() -> Failing:
    return Failing(Settings(type="failing", within=Duration("1s")))


def test_a_check_that_failed_over_a_dead_link_is_not_the_payloads_failure(
    fake_project: FakeProjects,
) -> None:
    node_run = new_run(fake_project(), Cut(otherwise=TIMED_OUT), failing())
    with pytest.raises(UnreachableError, match="no answer within 10s"):
        virtual.run(ManualClock(), verify(node_run))


def test_a_check_that_failed_on_a_node_that_answers_is_the_payloads_failure(
    fake_project: FakeProjects,
) -> None:
    node_run = new_run(fake_project(), Line({"true": OK}), failing())
    with pytest.raises(PayloadError, match="no end within 30s"):
        virtual.run(ManualClock(), verify(node_run))


def test_a_check_that_never_answers_is_failed_and_ends(fake_project: FakeProjects) -> None:
    silent = Silent(Settings(type="failing", within=Duration("1s")))
    node_run = new_run(fake_project(), Line({"true": OK}), silent)
    with pytest.raises(PayloadError, match="failing: the check gave no answer within 301s"):
        virtual.run(ManualClock(), verify(node_run))


def test_a_node_that_refuses_to_reboot_is_the_payloads_failure(fake_project: FakeProjects) -> None:
    node_run = new_run(fake_project(), Line({"systemctl --no-block reboot": REFUSED, "true": OK}))
    with pytest.raises(PayloadError, match="cannot reboot: Access denied"):
        virtual.run(ManualClock(), reboot(node_run))


def test_a_node_that_takes_no_commands_once_the_payload_ran_is_the_payloads_failure(
    fake_project: FakeProjects,
) -> None:
    node_run = new_run(fake_project(), Line({**STARTED, "systemctl show": REFUSED, "true": OK}))
    with pytest.raises(PayloadError, match="no longer runs commands: Access denied"):
        virtual.run(ManualClock(), deploy(node_run))


def test_a_node_that_takes_no_commands_before_the_payload_ran_is_infrastructure(
    fake_project: FakeProjects,
) -> None:
    node_run = new_run(fake_project(), Line({"nodes.json": OK, "systemd-run": REFUSED}))
    with pytest.raises(UnreachableError, match="Access denied"):
        virtual.run(ManualClock(), deploy(node_run))


def test_an_entry_that_ends_because_its_node_goes_down_is_not_judged_yet(
    fake_project: FakeProjects,
) -> None:
    def looked(command: object, stdin: bytes) -> CommandResult:
        line.diagnostics += 1
        system = "stopping" if line.diagnostics < 4 else "running"
        return CommandResult(0, f"SubState=dead\nResult=success\nSystem={system}\n", "")

    class Looked(Line):
        diagnostics = 0

    line = Looked({**STARTED, "systemctl show": looked, "deployment.log": OK})
    node_run = new_run(fake_project(), line)
    with pytest.raises(PayloadError, match="the node restarted before the entry ended"):
        virtual.run(ManualClock(), deploy(node_run))
    assert line.diagnostics == 4


def test_an_entry_that_has_had_its_time_is_ended_on_the_node(fake_project: FakeProjects) -> None:
    def looked(command: object, stdin: bytes) -> CommandResult:
        clock.sleep(20)
        return CommandResult(0, "SubState=running\nSystem=running\n", "")

    clock = ManualClock()
    line = Line({**STARTED, "systemctl show": looked, "systemctl stop": OK, "true": OK})
    with pytest.raises(PayloadError, match="did not end within"):
        virtual.run(clock, deploy(new_run(fake_project(), line)))
    assert line.asked[-1] == ["systemctl", "stop", UNIT]
