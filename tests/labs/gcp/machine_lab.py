"""The GCP lab with machines: every instance is a real one, and there is no way out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from tests.labs.gcp.call import Call
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.faults import Faults
from tests.labs.gcp.lab import GcpLab
from tests.labs.gcp.metadata import Metadata
from tests.labs.gcp.reaching import neighbours
from tests.labs.gcp.state import Instance, Timing
from tests.labs.hypervisor import DesiredState, Guest, Neighbours
from tests.labs.machine_lab import MachineLab
from tests.labs.machine_network import MachineNetwork


class GcpMachineLab(MachineLab[Call, Faults, Timing], GcpLab):
    """See `MachineLab` and `GcpLab`."""

    def __init__(self, folder: Path, machine_network: MachineNetwork) -> None:
        """`folder` is for credentials; the network may be shared with other clouds."""
        super().__init__(folder, network=machine_network.network)
        self.attach(machine_network, GuestOwner(self.cloud), Metadata(self._who_is))
        self.cloud.boots_later = True
        self.cloud.console = self.hypervisor.console

    def _who_is(self, address: str) -> Instance | None:
        with self.cloud.lock:
            for one in self.cloud.living():
                if address in (one.private, one.public):
                    return one
        return None


class GuestOwner:
    """The cloud, as the hypervisor sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def guests(self) -> Sequence[Guest]:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            self._cloud.age()
            return [_guest(one) for one in self._cloud.instances.values()]

    def neighbours(self, guest: str) -> Neighbours:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            return neighbours(self._cloud, self._named(guest))

    def booted(self, guest: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            one = self._named(guest)
            one.running = True
            one.runs_at = max(one.runs_at, self._cloud.now)

    def powered_off(self, guest: str) -> None:
        """An instance whose guest shuts down is TERMINATED, and stays:
        https://cloud.google.com/compute/docs/instances/instance-lifecycle"""
        with self._cloud.lock:
            self._cloud.stopped(self._named(guest), "compute.instances.guestTerminate")

    def failed(self, guest: str, words: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        with self._cloud.lock:
            self._cloud.stopped(self._named(guest), f"compute.instances.hostError: {words}")

    def _named(self, name: str) -> Instance:
        return next(one for one in self._cloud.instances.values() if one.name == name)


def _guest(one: Instance) -> Guest:
    data = one.metadata("user-data") or ""
    packed = one.metadata("user-data-encoding") == "base64"
    public = one.properties["networkInterfaces"][0].get("accessConfigs")
    return Guest(
        id=one.name,
        name=one.name,
        desired=(DesiredState.GONE if one.delete else DesiredState.STOPPED)
        if one.ended
        else DesiredState.RUNNING,
        user_data=base64.b64decode(data) if packed else data.encode(),
        private=one.private,
        public=one.public if public else None,
    )
