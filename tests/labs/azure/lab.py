"""The Azure lab: a small Resource Manager that is held to what Microsoft publishes of it.

Every call and answer is held to Microsoft's own client libraries: operations, query parameters,
models, and versions that all of Azure's clouds have. It refuses what Azure is documented or was
recorded to refuse: tags a policy asks for, images of another generation than the size's, networks
that overlap in a rule, a login without TLS or with another audience, deployments into a group that
is going or that is not known yet; and it throttles Compute's listings while Resource Manager works,
deletes groups in minutes, and lets deletions fail.

It cannot know how late a real Azure's listings and its activity log are, which sizes have capacity,
what policies a tenant has, when a location is closed to a subscription, or what Azure checks
beyond what it publishes.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from spotdeploy.testing.clock import Clock, SystemClock
from tests.labs.azure import rendering
from tests.labs.azure.call import Call
from tests.labs.azure.cloud import Cloud
from tests.labs.azure.faults import Faults
from tests.labs.azure.server import Logins, Server
from tests.labs.azure.state import Machine, Timing
from tests.labs.lab import Lab
from tests.labs.network import Network
from tests.labs.tls import certificate

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SUBSCRIPTION = "99999999-8888-7777-6666-555555555555"
SECRET = "lab-client-secret"
EVICTED = "Microsoft.Compute/virtualMachines/evictSpotVM/action"


class AzureLab(Lab[Call, Faults, Timing]):
    """An Azure: `calls` are without logins; `wrong` is what is not as Microsoft publishes it."""

    cloud: Cloud

    def __init__(self, clock: Clock | None = None, network: Network | None = None) -> None:
        """`clock` is the lab's time."""
        super().__init__(network)
        self.cloud = Cloud(SUBSCRIPTION, clock or SystemClock())
        self.logins = Logins(TENANT, CLIENT, SECRET)

    def server(self, listener: socket.socket) -> Server:
        """See `Lab`."""
        return Server(listener, self.cloud, self.logins)

    @property
    def login_url(self) -> str:
        """Where one logs in: the same port, by TLS."""
        return self.url.replace("http:", "https:")

    @property
    def environment(self) -> dict[str, str]:
        """See `Lab`."""
        return {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": SECRET,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "REQUESTS_CA_BUNDLE": str(certificate()),
        }

    @property
    def table(self) -> dict[str, str]:
        """See `Lab`."""
        return {
            "endpoint": self.url,
            "login_endpoint": self.login_url,
            "address_service": f"{self.url}/my-address",
        }

    @property
    def credentials(self) -> Sequence[str]:
        """See `Lab`."""
        return (SECRET, *self.logins.tokens)

    def called(self) -> list[str]:
        """See `Lab`: each operation as verb and the end of its path."""
        return [
            f"{verb} {path.rstrip('/{}').rpartition('/')[2] or 'subscriptions'}"
            for verb, _, path in (call.operation.partition(" ") for call in self.calls)
        ]

    def machine(self, id_: str) -> Machine:
        """The machine of that id."""
        return self.cloud.machines[id_.lower()]

    def ids(self) -> list[str]:
        """See `Lab`; in lower case."""
        with self.cloud.lock:
            self.cloud.sweep()
            return list(self.cloud.machines)

    def remains(self) -> list[str]:
        """See `Lab`."""
        with self.cloud.lock:
            self.cloud.sweep()
            groups = [group.name for group in self.cloud.groups.values()]
            things = [id_ for group in self.cloud.groups.values() for id_ in group.resources]
            return (
                groups
                + things
                + [
                    id_
                    for one in self.cloud.machines.values()
                    for id_ in (
                        one.id,
                        rendering.interface_id(one),
                        rendering.address_id(one),
                        rendering.disk_id(one),
                    )
                ]
            )

    def address(self, id_: str) -> str | None:
        """See `Lab`."""
        return self.machine(id_).public_address

    def notify(self, id_: str) -> None:
        """See `Lab`."""
        self.machine(id_).noticed = True

    def interrupt(self, id_: str, *, logged: bool = True) -> None:
        """See `Lab`. The activity log may be late to tell."""
        with self.cloud.lock:
            machine = self.machine(id_)
            assert machine.body["properties"]["evictionPolicy"] == "Delete"
            if logged:
                self.cloud.record(machine, EVICTED, "")
            self.cloud.end(machine)

    def delete(self, id_: str) -> None:
        """Delete a machine behind the client's back, as someone else."""
        with self.cloud.lock:
            machine = self.machine(id_)
            self.cloud.record(machine, "Microsoft.Compute/virtualMachines/delete", "a@example.com")
            self.cloud.end(machine)

    def power(self, id_: str, state: str) -> None:
        """Let a machine be `stopped` (from inside) or `deallocated` (by its schedule)."""
        with self.cloud.lock:
            self.machine(id_).power = state

    def revoke(self) -> None:
        """Let every token end, and give no new ones."""
        self.logins.refused = ("invalid_client", "AADSTS7000222: The secret keys are expired.")

    def restore(self) -> None:
        """Undo `revoke`."""
        self.logins.refused = None
