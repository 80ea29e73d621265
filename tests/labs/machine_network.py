"""Where machines of labs live: one network without a way out, shared by one cloud or several."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from spotdeploy_local.engine import LabEngine
from tests.labs.hypervisor import GuestOwner, Hypervisor
from tests.labs.metadata import ADDRESS, MetadataServer, MetadataService
from tests.labs.network import Namespace

TOOLS = ("AWS_", "AZURE_", "CLOUDSDK_", "GCE_", "GOOGLE_")
"""How the settings of the clouds' own tools begin."""


class MachineNetwork:
    """A network namespace with a metadata address. A context manager.

    Clients run in there too: `network.run(function)`, or a command behind `network.enter`
    with `client_environment`.
    """

    def __init__(self, engine: LabEngine, name: str) -> None:
        """The engine must be prepared. `name` tells networks that exist at the same time apart."""
        self._engine = engine
        self._name = name
        self._services: list[MetadataService] = []

    def __enter__(self) -> MachineNetwork:
        self.network = Namespace(self._engine.hold_network(self._name))
        bridge = ["ip", "address", "add", f"{ADDRESS}/32", "dev", "br0"]
        subprocess.run([*self.network.enter, *bridge], check=True)
        self._metadata = MetadataServer(self.network.listener(ADDRESS, 80), self._services)
        self._metadata.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._metadata.stop()
        self.network.close()
        self._engine.drop_network(self._name)

    def attach(self, owner: GuestOwner, service: MetadataService) -> Hypervisor:
        """A cloud's machines, not yet started, with its metadata service for them."""
        self._services.append(service)
        return Hypervisor(self._engine, self._name, owner)


def client_environment(*settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment for a client's process: this one's, without any settings of the
    clouds' own tools but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(TOOLS)}
    return {name: value for found in (kept, *settings) for name, value in found.items()}
