"""The Azure lab: a small Resource Manager that is held to what Microsoft publishes of it."""

from __future__ import annotations

from types import TracebackType

from spotdeploy.testing.clock import Clock, SystemClock
from tests.labs.azure import rendering
from tests.labs.azure.call import Call
from tests.labs.azure.cloud import Cloud
from tests.labs.azure.faults import Faults
from tests.labs.azure.server import Logins, Server
from tests.labs.azure.state import Machine, Timing
from tests.labs.network import Loopback, Network

HOST = "127.0.0.1"
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SUBSCRIPTION = "99999999-8888-7777-6666-555555555555"
SECRET = "lab-client-secret"
EVICTED = "Microsoft.Compute/virtualMachines/evictSpotVM/action"


class AzureLab:
    """An Azure to test against. A context manager.

    Clients find it by `table` and `environment`; everything else is for the test: `faults` says
    what goes wrong, `timing` how slow it is, `calls` what arrived, `wrong` what is not as
    Microsoft publishes it.
    """

    def __init__(self, clock: Clock | None = None, network: Network | None = None) -> None:
        """`clock` is the lab's time; `network` is where it listens, this host by default."""
        self.network = network or Loopback()
        self.cloud = Cloud(SUBSCRIPTION, clock or SystemClock())
        self.logins = Logins(TENANT, CLIENT, SECRET)

    def __enter__(self) -> AzureLab:
        listener = self.network.listener(HOST)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._server = Server(listener, self.cloud, self.logins)
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment must have to be let in."""
        return {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": SECRET,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        }

    @property
    def table(self) -> dict[str, str]:
        """What `[provider.azure]` must have to come here and nowhere else."""
        return {
            "endpoint": self.url,
            "login_endpoint": self.url,
            "address_service": f"{self.url}/my-address",
        }

    @property
    def faults(self) -> Faults:
        """The script of what goes wrong."""
        return self.cloud.faults

    @property
    def timing(self) -> Timing:
        """How slow the cloud is."""
        return self.cloud.timing

    @property
    def calls(self) -> list[Call]:
        """Every call, without logins."""
        return self.cloud.calls

    @property
    def wrong(self) -> list[str]:
        """What is not as Microsoft publishes it."""
        return self._server.wrong

    @property
    def checked(self) -> int:
        """How many calls and answers were held to it."""
        return self._server.checked

    def operations(self) -> list[str]:
        """The operations called, in order, each as verb and the end of its path."""
        return [
            f"{verb} {path.rstrip('/{}').rpartition('/')[2] or 'subscriptions'}"
            for verb, _, path in (call.operation.partition(" ") for call in self.calls)
        ]

    def forget_calls(self) -> None:
        """Count from here."""
        self.cloud.calls.clear()

    def machine(self, id_: str) -> Machine:
        """The machine of that id."""
        return self.cloud.machines[id_.lower()]

    def ids(self) -> set[str]:
        """The ids, in lower case, of the machines that are there."""
        with self.cloud.lock:
            self.cloud.sweep()
            return set(self.cloud.machines)

    def remains(self) -> list[str]:
        """The ids of all that is billed or named and not gone."""
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

    def evict(self, id_: str, *, logged: bool = True) -> None:
        """Take a Spot machine back. The activity log may be late to tell."""
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
