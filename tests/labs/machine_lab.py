"""A lab with a real machine behind each instance, and no way out."""

from __future__ import annotations

from spotdeploy_local.engine import Machine
from tests.labs.hypervisor import GuestOwner, Hypervisor
from tests.labs.lab import C, F, Lab, T
from tests.labs.machine_network import MachineNetwork
from tests.labs.metadata import MetadataService


class MachineLab(Lab[C, F, T]):
    """A base that goes before a cloud's lab, which is then in a `MachineNetwork`: clients must be
    there too."""

    hypervisor: Hypervisor

    def attach(
        self, machine_network: MachineNetwork, owner: GuestOwner, metadata: MetadataService
    ) -> None:
        """Let the cloud's machines and its metadata service be in the network."""
        self.hypervisor = machine_network.attach(owner, metadata)
        self.cloud.on_change.append(self.hypervisor.wake)

    def start(self) -> None:
        """See `Lab`; the machines too."""
        super().start()
        self.hypervisor.start()

    def stop(self) -> None:
        """See `Lab`; the machines first."""
        self.hypervisor.stop()
        super().stop()

    def machines(self) -> list[Machine]:
        """The machines behind the instances."""
        return self.hypervisor.machines()
