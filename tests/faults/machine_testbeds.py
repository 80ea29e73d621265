"""The labs of the clouds with a real machine behind each instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.cycles.project import eventually
from tests.faults.case import Open
from tests.faults.cloud_testbeds import AwsTestbed, AzureTestbed, GcpTestbed
from tests.faults.lab_testbed import LabTestbed, waits
from tests.faults.launcher import How, launcher
from tests.faults.node_testbed import NodeTestbed
from tests.labs.clouds import AnyMachineLab
from tests.labs.lab_project import LabProject
from tests.labs.machine_network import MachineNetwork


class MachineTestbed(NodeTestbed):
    """One cloud's lab, in a network without a way out."""

    lab: AnyMachineLab

    def __init__(self, folder: Path, like: type[LabTestbed]) -> None:
        """`like` is the same cloud without machines: it knows what a command on it waits for."""
        super().__init__(folder)
        self._like = like

    def __enter__(self) -> MachineTestbed:
        self.engine.prepare(print)
        cloud = self._like.cloud
        with ExitStack() as open_ones:
            machine_network = open_ones.enter_context(MachineNetwork(self.engine, self.deployment))
            self.lab = open_ones.enter_context(cloud.lab(self.folder, machine_network))
            self._open_ones = open_ones.pop_all()
        tables = {cloud.name: cloud.table(self.lab)}
        project = LabProject(self.folder / "project", self.deployment, [self.lab], tables)
        project.command = launcher(How(constants=waits(cloud.name, self._like.constants)))
        self.begin(project)
        return self

    def __exit__(self, *exc: object) -> None:
        """See `NodeTestbed`."""
        self._open_ones.close()
        super().__exit__(*exc)

    @property
    def wrong(self) -> Sequence[str]:
        """See `Testbed`."""
        return self.lab.wrong

    @property
    def secrets(self) -> Sequence[str]:
        """See `Testbed`; the cloud's credentials too."""
        return (*super().secrets, *self.lab.credentials)

    def interrupt(self) -> None:
        """See `NodeTestbed`."""
        self.lab.interrupt(self.lab.ids()[0])

    def remains(self) -> list[str]:
        """See `Testbed`. A machine behind an instance goes a moment after it."""
        with suppress(AssertionError):  # what is left then is what is given
            eventually(lambda: not self.engine.machines(), "the machines are gone")
        return [*self.lab.remains(), *map(str, self.engine.machines())]


def _opened(like: type[LabTestbed]) -> Open:
    def opened(folder: Path, request: pytest.FixtureRequest) -> MachineTestbed:
        return MachineTestbed(folder, like)

    return opened


TESTBEDS: Mapping[str, Open] = {
    f"{like.cloud.name} lab with machines": _opened(like)
    for like in (AwsTestbed, GcpTestbed, AzureTestbed)
}
