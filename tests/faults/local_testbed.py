"""The local provider with an engine of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy_local.layout import STATE_VARIABLE
from tests.cycles.project import Done, Project
from tests.faults.case import Case, Ends, Family
from tests.faults.node_testbed import NodeTestbed


class LocalTestbed(NodeTestbed):
    """The local provider, with an engine of its own."""

    def __enter__(self) -> LocalTestbed:
        self.engine.prepare(print)
        project = OnEngine(self.folder / "project", self.deployment, self.engine.layout.state)
        self.begin(project)
        return self

    def interrupt(self) -> None:
        """See `NodeTestbed`."""
        self.engine.preempt(self.machine().id)


class OnEngine(Project):
    """A project whose commands use one engine."""

    def __init__(self, folder: Path, deployment: str, state: Path) -> None:
        super().__init__(folder, deployment)
        self._state = state

    @property
    def environment(self) -> dict[str, str]:
        """With the engine's folder."""
        return {**os.environ, STATE_VARIABLE: str(self._state)}


def opened(folder: Path, request: pytest.FixtureRequest) -> LocalTestbed:
    """A testbed for one case."""
    return LocalTestbed(folder)


def local_case(
    family: Family,
    fault: str,
    expect: Ends,
    action: Callable[[LocalTestbed], Done],
    *,
    then: str = "destroy",
    quick: bool = False,
    leaves: bool = False,
) -> Case:
    """A case on real machines of the local provider."""
    return Case(
        family,
        "local",
        fault,
        expect,
        opened,
        action,
        quick=quick,
        then=then,
        leaves=leaves,
        machines=True,
    )
