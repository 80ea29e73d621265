"""The AWS lab with machines: every instance is a real one, and there is no way out."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from spotdeploy_local.engine import Engine, Machine
from tests.labs.aws.cloud import POWERED_OFF, Instance
from tests.labs.aws.lab import AwsLab
from tests.labs.aws.metadata import ADDRESS, MetadataServer
from tests.labs.aws.place import Namespace
from tests.labs.hypervisor import Guest, Hypervisor, Wish

NOTICE_SECONDS = 120.0


class MachineLab(AwsLab):
    """Like `AwsLab`, in a network namespace of its own.

    Clients run in there too: `lab.place.run(function)`, or a command behind `lab.place.enter`
    with `lab.environment`.
    """

    def __init__(self, folder: Path, engine: Engine, network: str = "aws") -> None:
        """The engine must be prepared. `network` tells labs that run at the same time apart."""
        self._engine = engine
        self._network = network
        self._namespace = Namespace(engine.hold_network(network))
        super().__init__(folder, place=self._namespace)

    def __enter__(self) -> MachineLab:
        super().__enter__()
        bridge = ["ip", "address", "add", f"{ADDRESS}/32", "dev", "br0"]
        subprocess.run([*self.place.enter, *bridge], check=True)
        listener = self.place.listener(ADDRESS, 80)
        self._metadata = MetadataServer(listener, self._who_is, NOTICE_SECONDS)
        self._metadata.start()
        self.hypervisor = Hypervisor(self._engine, self._network, Landlord(self))
        self.cloud.boots_later = True
        self.cloud.console = self.hypervisor.console
        self.cloud.on_change.append(self.hypervisor.wake)
        self.hypervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.hypervisor.stop()
        self._metadata.stop()
        super().__exit__(kind, error, trace)
        self._namespace.close()
        self._engine.drop_network(self._network)

    @property
    def client_environment(self) -> dict[str, str]:
        """The whole environment for a client's process: this one's, without any AWS settings of
        its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**kept, **self.environment}

    def machines(self) -> list[Machine]:
        """The machines behind the instances."""
        return self.hypervisor.machines()

    def _who_is(self, address: str) -> Instance | None:
        for instance in self.cloud.known.values():
            if address in (instance.private_address, instance.address) and not instance.ended:
                return instance
        return None


class Landlord:
    """The cloud, as the hypervisor sees it."""

    def __init__(self, lab: AwsLab) -> None:
        self._lab = lab

    def guests(self) -> Sequence[Guest]:
        """See `tests.labs.hypervisor.Landlord`."""
        return [_guest(instance) for instance in list(self._lab.cloud.known.values())]

    def booted(self, guest: str) -> None:
        """See `tests.labs.hypervisor.Landlord`."""
        self._lab.cloud.known[guest].running = True

    def powered_off(self, guest: str) -> None:
        """An instance with InstanceInitiatedShutdownBehavior=terminate does not stay:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html
        """
        self._lab.end([guest], POWERED_OFF)

    def failed(self, guest: str, words: str) -> None:
        """See `tests.labs.hypervisor.Landlord`."""
        self._lab.end([guest], f"Server.InternalError: {words}")


def _guest(instance: Instance) -> Guest:
    return Guest(
        id=instance.id,
        name=instance.id,
        wish=Wish.GO if instance.ended else Wish.RUN,
        user_data=base64.b64decode(instance.user_data),
        private=instance.private_address,
        public=instance.address or None,
    )
