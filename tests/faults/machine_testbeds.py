"""The labs of the clouds with a real machine behind each instance."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from tests.cycles.project import eventually
from tests.faults import cloud_testbeds
from tests.faults.case import Open
from tests.faults.lab_testbed import LabTestbed, waits
from tests.faults.launcher import How, launcher
from tests.faults.node_testbed import NodeTestbed
from tests.labs import aws, azure, gcp
from tests.labs.lab_project import LabProject
from tests.labs.machine_network import CloudLab, MachineNetwork

Lab = TypeVar("Lab", bound=CloudLab)
REGION = "us-west-2"


class MachineTestbed(NodeTestbed, Generic[Lab]):
    """One cloud's lab, in a network without a way out."""

    lab: Lab
    like: ClassVar[type[LabTestbed]]
    """The same cloud without machines: it knows what to call it, and what it waits for."""

    def __enter__(self) -> MachineTestbed[Lab]:
        self.engine.prepare(print)
        with ExitStack() as open_ones:
            machine_network = open_ones.enter_context(MachineNetwork(self.engine, self.deployment))
            self.lab = self.enter_lab(open_ones, machine_network)
            self._open_ones = open_ones.pop_all()
        folder = self.folder / "project"
        project = LabProject(folder, self.deployment, [self.lab], {self.like.name: self.table()})
        project.command = launcher(How(constants=waits(self.like.name, self.like.constants)))
        self.begin(project)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `NodeTestbed`."""
        self._open_ones.close()
        super().__exit__(kind, error, trace)

    @property
    def wrong(self) -> Sequence[str]:
        """See `Testbed`."""
        return self.lab.wrong

    @abstractmethod
    def enter_lab(self, open_ones: ExitStack, machine_network: MachineNetwork) -> Lab:
        """Start the lab."""

    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """What `[provider.NAME]` has."""

    @abstractmethod
    def in_cloud(self) -> list[str]:
        """What the cloud still has."""

    @property
    def secrets(self) -> Sequence[str]:
        """See `Testbed`; the cloud's credentials too."""
        return (*super().secrets, *self.credentials())

    @abstractmethod
    def credentials(self) -> Sequence[str]:
        """What lets a client into the cloud."""

    def remains(self) -> list[str]:
        """See `Testbed`. A machine behind an instance goes a moment after it."""
        with suppress(AssertionError):  # what is left then is what is given
            eventually(lambda: not self.engine.machines(), "the machines are gone")
        return [*self.in_cloud(), *map(str, self.engine.machines())]


class AwsTestbed(MachineTestbed[aws.MachineLab]):
    """EC2."""

    like = cloud_testbeds.AwsTestbed

    def enter_lab(self, open_ones: ExitStack, machine_network: MachineNetwork) -> aws.MachineLab:
        """See `MachineTestbed`."""
        lab = open_ones.enter_context(aws.MachineLab(self.folder, machine_network))
        lab.timing.going = 0.5
        return lab

    def table(self) -> Mapping[str, Any]:
        """See `MachineTestbed`."""
        return {**self.lab.table, "regions": [REGION], "sizes": ["t3.small"]}

    def in_cloud(self) -> list[str]:
        """See `MachineTestbed`."""
        return self.lab.remains(REGION)

    def credentials(self) -> Sequence[str]:
        """See `MachineTestbed`."""
        return (self.lab.environment["AWS_SECRET_ACCESS_KEY"],)

    def interrupt(self) -> None:
        """See `NodeTestbed`."""
        self.lab.interrupt(next(iter(self.lab.instances(REGION))))


class GcpTestbed(MachineTestbed[gcp.MachineLab]):
    """Compute Engine."""

    like = cloud_testbeds.GcpTestbed

    def enter_lab(self, open_ones: ExitStack, machine_network: MachineNetwork) -> gcp.MachineLab:
        """See `MachineTestbed`."""
        return open_ones.enter_context(gcp.MachineLab(self.folder, machine_network))

    def table(self) -> Mapping[str, Any]:
        """See `MachineTestbed`."""
        return {**self.lab.table, "sizes": ["e2-small"]}

    def in_cloud(self) -> list[str]:
        """See `MachineTestbed`."""
        cloud = self.lab.cloud
        return [*self.lab.instances(), *map(str, cloud.disks), *map(str, cloud.firewalls)]

    def credentials(self) -> Sequence[str]:
        """See `MachineTestbed`."""
        key = str(self.lab.tokens.key_file("")["private_key"])
        return (key.splitlines()[1], *self.lab.tokens.given)

    def interrupt(self) -> None:
        """See `NodeTestbed`."""
        self.lab.preempt(next(iter(self.lab.instances())))


class AzureTestbed(MachineTestbed[azure.MachineLab]):
    """Azure."""

    like = cloud_testbeds.AzureTestbed

    def enter_lab(self, open_ones: ExitStack, machine_network: MachineNetwork) -> azure.MachineLab:
        """See `MachineTestbed`."""
        return open_ones.enter_context(azure.MachineLab(machine_network))

    def table(self) -> Mapping[str, Any]:
        """See `MachineTestbed`."""
        return {**self.lab.table, "sizes": ["Standard_D2as_v5"]}

    def in_cloud(self) -> list[str]:
        """See `MachineTestbed`."""
        return self.lab.remains()

    def credentials(self) -> Sequence[str]:
        """See `MachineTestbed`."""
        return (self.lab.environment["AZURE_CLIENT_SECRET"], *self.lab.logins.tokens)

    def interrupt(self) -> None:
        """See `NodeTestbed`."""
        self.lab.evict(next(iter(self.lab.ids())))


def _opened(kind: type[MachineTestbed[Any]]) -> Open:
    def opened(folder: Path, request: pytest.FixtureRequest) -> MachineTestbed[Any]:
        return kind(folder)

    return opened


TESTBEDS: Mapping[str, Open] = {
    "aws lab with machines": _opened(AwsTestbed),
    "gcp lab with machines": _opened(GcpTestbed),
    "azure lab with machines": _opened(AzureTestbed),
}
