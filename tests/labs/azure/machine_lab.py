"""The Azure lab with machines: every virtual machine is a real one, and there is no way out."""

from __future__ import annotations

from collections.abc import Sequence

from tests.labs.azure.call import Call
from tests.labs.azure.cloud import Cloud
from tests.labs.azure.faults import Faults, Trouble
from tests.labs.azure.lab import AzureLab
from tests.labs.azure.metadata import Metadata
from tests.labs.azure.reaching import neighbours
from tests.labs.azure.state import Machine, Timing
from tests.labs.hypervisor import DesiredState, Guest, Neighbours
from tests.labs.machine_lab import MachineLab
from tests.labs.machine_network import MachineNetwork

QUICK = Timing(deploying=0.2, allocating=0.2, booting=0.5, going=0.5, group_going=1.0)


class AzureMachineLab(MachineLab[Call, Faults, Timing], AzureLab):
    """See `MachineLab` and `AzureLab`."""

    def __init__(self, machine_network: MachineNetwork) -> None:
        """The network may be shared with other clouds."""
        super().__init__(network=machine_network.network)
        self._owner = GuestOwner(self.cloud)
        self.attach(machine_network, self._owner, Metadata(self._who_is))
        self.cloud.timing = QUICK
        self.cloud.holding = True
        self.cloud.console = self._console

    def _console(self, name: str) -> str | None:
        found = self._owner.guest_of(name)
        return self.hypervisor.console(found) if found else None

    def _who_is(self, address: str) -> Machine | None:
        with self.cloud.lock:
            for one in self.cloud.machines.values():
                if address in (one.private_address, one.public_address):
                    return one
        return None


class GuestOwner:
    """The cloud, as the hypervisor sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: dict[str, Machine] = {}
        """Every machine there ever was."""

    def guests(self) -> Sequence[Guest]:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            self._cloud.sweep()
            there = list(self._cloud.machines.values())
            self._known |= {_guest_id(one): one for one in there}
            return [_guest(one, _desired(one, there)) for one in self._known.values()]

    def neighbours(self, guest: str) -> Neighbours:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            return neighbours(self._known[guest])

    def booted(self, guest: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            one = self._known[guest]
            one.held = False
            one.allocated_at = max(one.allocated_at, self._cloud.now)
            one.ready_at = one.allocated_at + self._cloud.timing.booting

    def powered_off(self, guest: str) -> None:
        """A machine whose guest shuts down is `stopped`, and billed:
        https://learn.microsoft.com/en-us/azure/virtual-machines/states-billing"""
        with self._cloud.lock:
            self._known[guest].power = "stopped"

    def failed(self, guest: str, words: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            one = self._known[guest]
            one.held, one.trouble = False, Trouble("AllocationFailed", words)

    def guest_of(self, name: str) -> str | None:
        """The guest's id for a machine's name."""
        with self._cloud.lock:
            return next((id_ for id_, one in self._known.items() if one.name == name), None)


def _guest_id(one: Machine) -> str:
    return f"{one.name}-{one.number}"


def _desired(one: Machine, there: Sequence[Machine]) -> DesiredState:
    if one.ends_at is not None or one.trouble or not any(one is other for other in there):
        return DesiredState.GONE
    return DesiredState.RUNNING if one.power == "running" else DesiredState.STOPPED


def _guest(one: Machine, desired: DesiredState) -> Guest:
    return Guest(
        id=_guest_id(one),
        name=one.name,
        desired=desired,
        user_data=one.user_data,
        private=one.private_address,
        public=one.public_address,
    )
