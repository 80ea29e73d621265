"""The GCP lab with machines: every instance is a real one, and there is no way out."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from spotdeploy_local.engine import Engine, Machine
from tests.labs.aws.place import Namespace
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.lab import GcpLab
from tests.labs.gcp.metadata import ADDRESS, MetadataServer
from tests.labs.gcp.state import Instance
from tests.labs.hypervisor import Guest, Hypervisor, Wish


class MachineLab(GcpLab):
    """Like `GcpLab`, in a network namespace of its own.

    Clients run in there too: `lab.place.run(function)`, or a command behind `lab.place.enter`
    with `lab.client_environment`.
    """

    def __init__(self, folder: Path, engine: Engine, network: str = "gcp") -> None:
        """The engine must be prepared. `network` tells labs that run at the same time apart."""
        self._engine = engine
        self._network = network
        self._namespace = Namespace(engine.hold_network(network))
        super().__init__(folder, place=self._namespace)
        self.hypervisor = Hypervisor(engine, network, Landlord(self.cloud))
        self.cloud.boots_later = True
        self.cloud.console = self.hypervisor.console
        self.cloud.on_change.append(self.hypervisor.wake)

    def __enter__(self) -> MachineLab:
        super().__enter__()
        bridge = ["ip", "address", "add", f"{ADDRESS}/32", "dev", "br0"]
        subprocess.run([*self.place.enter, *bridge], check=True)
        self._metadata = MetadataServer(self.place.listener(ADDRESS, 80), self._who_is)
        self._metadata.start()
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
        """The whole environment for a client's process: this one's, without any settings of
        Google's tools."""
        ours = ("GOOGLE_", "CLOUDSDK_", "GCE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, **self.environment}

    def machines(self) -> list[Machine]:
        """The machines behind the instances."""
        return self.hypervisor.machines()

    def _who_is(self, address: str) -> Instance | None:
        for one in self.cloud.living():
            if address in (one.private, one.public):
                return one
        return None


class Landlord:
    """The cloud, as the hypervisor sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def guests(self) -> Sequence[Guest]:
        """See `tests.labs.hypervisor.Landlord`."""
        with self._cloud.lock:
            self._cloud.age()
            return [_guest(one) for one in self._cloud.instances.values()]

    def booted(self, guest: str) -> None:
        """See `tests.labs.hypervisor.Landlord`."""
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
        """See `tests.labs.hypervisor.Landlord`."""
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
        wish=(Wish.GO if one.delete else Wish.STOP) if one.ended else Wish.RUN,
        user_data=base64.b64decode(data) if packed else data.encode(),
        private=one.private,
        public=one.public if public else None,
    )
