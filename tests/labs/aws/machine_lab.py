"""The AWS lab with machines: every instance is a real one, and there is no way out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from tests.labs.aws.call import Call
from tests.labs.aws.cloud import POWERED_OFF, Instance, Timing
from tests.labs.aws.faults import Faults
from tests.labs.aws.lab import AwsLab
from tests.labs.aws.metadata import Metadata
from tests.labs.aws.reaching import neighbours
from tests.labs.hypervisor import DesiredState, Guest, Neighbours
from tests.labs.machine_lab import MachineLab
from tests.labs.machine_network import MachineNetwork

NOTICE_SECONDS = 120.0


class AwsMachineLab(MachineLab[Call, Faults, Timing], AwsLab):
    """See `MachineLab` and `AwsLab`."""

    def __init__(self, folder: Path, machine_network: MachineNetwork) -> None:
        """`folder` is for moto; the network may be shared with other clouds."""
        super().__init__(folder, network=machine_network.network)
        self.attach(machine_network, GuestOwner(self), Metadata(self._who_is, NOTICE_SECONDS))
        self.cloud.boots_later = True
        self.cloud.console = self.hypervisor.console

    def _who_is(self, address: str) -> Instance | None:
        for instance in list(self.cloud.known.values()):
            if address in (instance.private_address, instance.address) and not instance.ended:
                return instance
        return None


class GuestOwner:
    """The cloud, as the hypervisor sees it."""

    def __init__(self, lab: AwsLab) -> None:
        self._lab = lab

    def guests(self) -> Sequence[Guest]:
        """See `tests.labs.hypervisor.GuestOwner`."""
        return [_guest(instance) for instance in list(self._lab.cloud.known.values())]

    def neighbours(self, guest: str) -> Neighbours:
        """See `tests.labs.hypervisor.GuestOwner`."""
        return neighbours(self._lab, self._lab.cloud.known[guest])

    def booted(self, guest: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        self._lab.cloud.known[guest].running = True

    def powered_off(self, guest: str) -> None:
        """An instance with InstanceInitiatedShutdownBehavior=terminate does not stay:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html
        """
        self._lab.end([guest], POWERED_OFF)

    def failed(self, guest: str, words: str) -> None:
        """See `tests.labs.hypervisor.GuestOwner`."""
        self._lab.end([guest], f"Server.InternalError: {words}")


def _guest(instance: Instance) -> Guest:
    return Guest(
        id=instance.id,
        name=instance.id,
        desired=DesiredState.GONE if instance.ended else DesiredState.RUNNING,
        user_data=base64.b64decode(instance.user_data),
        private=instance.private_address,
        public=instance.address or None,
    )
