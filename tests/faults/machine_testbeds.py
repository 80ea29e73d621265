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
from tests.faults.lab_testbed import CloudArena, waits
from tests.faults.launcher import How, launcher
from tests.faults.node_testbed import NodeArena
from tests.labs import aws, azure, gcp
from tests.labs.lab_project import InLab
from tests.labs.machine_network import CloudLab, Site

Lab = TypeVar("Lab", bound=CloudLab)
REGION = "us-west-2"


class LabArena(NodeArena, Generic[Lab]):
    """One cloud's lab, in a network without a way out."""

    lab: Lab
    like: ClassVar[type[CloudArena]]
    """The same cloud without machines: it knows what to call it, and what it waits for."""

    def __enter__(self) -> LabArena[Lab]:
        self.engine.prepare(print)
        with ExitStack() as open_ones:
            site = open_ones.enter_context(Site(self.engine, self.deployment))
            self.lab = self.enter_lab(open_ones, site)
            self._open_ones = open_ones.pop_all()
        folder = self.folder / "project"
        project = InLab(folder, self.deployment, [self.lab], {self.like.name: self.table()})
        project.command = launcher(How(constants=waits(self.like.name, self.like.constants)))
        self.begin(project)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `NodeArena`."""
        self._open_ones.close()
        super().__exit__(kind, error, trace)

    @property
    def wrong(self) -> Sequence[str]:
        """See `Arena`."""
        return self.lab.wrong

    @abstractmethod
    def enter_lab(self, open_ones: ExitStack, site: Site) -> Lab:
        """Start the lab."""

    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """What `[provider.NAME]` has."""

    @abstractmethod
    def in_cloud(self) -> list[str]:
        """What the cloud still has."""

    @property
    def secrets(self) -> Sequence[str]:
        """See `Arena`; the cloud's credentials too."""
        return (*super().secrets, *self.credentials())

    @abstractmethod
    def credentials(self) -> Sequence[str]:
        """What lets a client into the cloud."""

    def remains(self) -> list[str]:
        """See `Arena`. A machine behind an instance goes a moment after it."""
        with suppress(AssertionError):  # what is left then is what is given
            eventually(lambda: not self.engine.machines(), "the machines are gone")
        return [*self.in_cloud(), *map(str, self.engine.machines())]


class AwsArena(LabArena[aws.MachineLab]):
    """EC2."""

    like = cloud_testbeds.AwsArena

    def enter_lab(self, open_ones: ExitStack, site: Site) -> aws.MachineLab:
        """See `LabArena`."""
        lab = open_ones.enter_context(aws.MachineLab(self.folder, site))
        lab.timing.going = 0.5
        return lab

    def table(self) -> Mapping[str, Any]:
        """See `LabArena`."""
        return {**self.lab.table, "regions": [REGION], "sizes": ["t3.small"]}

    def in_cloud(self) -> list[str]:
        """See `LabArena`."""
        return self.lab.remains(REGION)

    def credentials(self) -> Sequence[str]:
        """See `LabArena`."""
        return (self.lab.environment["AWS_SECRET_ACCESS_KEY"],)

    def interrupt(self) -> None:
        """See `NodeArena`."""
        self.lab.interrupt(next(iter(self.lab.instances(REGION))))


class GcpArena(LabArena[gcp.MachineLab]):
    """Compute Engine."""

    like = cloud_testbeds.GcpArena

    def enter_lab(self, open_ones: ExitStack, site: Site) -> gcp.MachineLab:
        """See `LabArena`."""
        return open_ones.enter_context(gcp.MachineLab(self.folder, site))

    def table(self) -> Mapping[str, Any]:
        """See `LabArena`."""
        return {**self.lab.table, "sizes": ["e2-small"]}

    def in_cloud(self) -> list[str]:
        """See `LabArena`."""
        cloud = self.lab.cloud
        return [*self.lab.instances(), *map(str, cloud.disks), *map(str, cloud.firewalls)]

    def credentials(self) -> Sequence[str]:
        """See `LabArena`."""
        key = str(self.lab.tokens.key_file("")["private_key"])
        return (key.splitlines()[1], *self.lab.tokens.given)

    def interrupt(self) -> None:
        """See `NodeArena`."""
        self.lab.preempt(next(iter(self.lab.instances())))


class AzureArena(LabArena[azure.MachineLab]):
    """Azure."""

    like = cloud_testbeds.AzureArena

    def enter_lab(self, open_ones: ExitStack, site: Site) -> azure.MachineLab:
        """See `LabArena`."""
        return open_ones.enter_context(azure.MachineLab(site))

    def table(self) -> Mapping[str, Any]:
        """See `LabArena`."""
        return {**self.lab.table, "sizes": ["Standard_D2as_v5"]}

    def in_cloud(self) -> list[str]:
        """See `LabArena`."""
        return self.lab.remains()

    def credentials(self) -> Sequence[str]:
        """See `LabArena`."""
        return (self.lab.environment["AZURE_CLIENT_SECRET"], *self.lab.logins.tokens)

    def interrupt(self) -> None:
        """See `NodeArena`."""
        self.lab.evict(next(iter(self.lab.ids())))


def _opened(kind: type[LabArena[Any]]) -> Open:
    def opened(folder: Path, request: pytest.FixtureRequest) -> LabArena[Any]:
        return kind(folder)

    return opened


ARENAS: Mapping[str, Open] = {
    "aws lab with machines": _opened(AwsArena),
    "gcp lab with machines": _opened(GcpArena),
    "azure lab with machines": _opened(AzureArena),
}
