"""What should be stable is the same from its first good answer to its last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.duration import Duration
from spotdeploy.errors import PayloadError
from spotdeploy.model import Manifest, Node, NodeState
from spotdeploy.node.connection import NodeConnection
from spotdeploy.phases.verify import verify
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.connection import ScriptedConnection
from spotdeploy_checks.systemd import SystemdCheck, SystemdSettings
from tests.fake_project import FakeProject
from tests.properties import virtual

FakeProjects = Callable[..., FakeProject]
NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)


class Starting(ScriptedConnection):
    """A node whose unit is always active, and started anew at these seconds."""

    node = NODE
    connected = True

    def __init__(self, clock: ManualClock, *starts: float) -> None:
        super().__init__({"systemctl show": self._show, "true": CommandResult(0, "", "")})
        self._clock, self._starts, self._began = clock, starts, clock.now()

    def _show(self, command: Sequence[str], stdin: bytes) -> CommandResult:
        passed = self._clock.now() - self._began
        count = sum(1 for start in self._starts if start <= passed)
        facts = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=0\n"
        return CommandResult(0, f"{facts}InvocationID={count:032x}\n", "")


def verified(here: FakeProject, *starts: float) -> NodeRun:
    """A node that was asked whether its unit is stable for 15 seconds."""
    settings = SystemdSettings(
        type="systemd", units=("app.service",), within=Duration("20s"), stable_for=Duration("15s")
    )
    clock = ManualClock()
    plan = Plan(Manifest(()), (SystemdCheck(settings),))
    line = cast("NodeConnection", Starting(clock, *starts))
    node_run = NodeRun(replace(here.run, plan=plan), here.run.locations[0], NODE, line)
    virtual.run(clock, verify(node_run))
    return node_run


@pytest.mark.parametrize("every", [1.5, 2, 3, 7, 14])
def test_a_unit_that_something_starts_again_and_again_is_not_stable(
    fake_project: FakeProjects, every: float
) -> None:
    starts = [every * number for number in range(1, 100)]
    with pytest.raises(PayloadError, match=r"started again .* stable for 15s: app.service"):
        verified(fake_project(), *starts)


def test_one_start_begins_the_time_anew(fake_project: FakeProjects) -> None:
    (check,) = verified(fake_project(), 10.5).checks
    assert check.ok
    assert 26 <= check.seconds <= 28


def test_a_unit_that_stays_is_stable(fake_project: FakeProjects) -> None:
    (check,) = verified(fake_project()).checks
    assert 15 <= check.seconds < 16
