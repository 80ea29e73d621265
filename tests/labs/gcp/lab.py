"""The GCP lab: a small Compute Engine that is held to Google's own description of it.

Every request and answer is held to the discovery document. Beyond that the lab refuses what Google
documents or was seen to refuse: a filter together with an order; an aggregated listing that does
not ask for partial success while a zone is silent; migration of accelerators, and E2 that does not
migrate; disks that a series does not take; a network in custom mode without a subnetwork; rules in
another project than their network; images that are gone; metadata, labels, tags and names of forms
that Google does not take; an organization's policies (`tests.labs.gcp.policies`); tokens that are
refused, damaged or not to be had, or good for another service. Google's own client is a second
witness (`tests/labs/test_lab_gcp_witness.py`).

What it cannot know: how late real listings are, which capacity there is, what real quotas count
besides, and how errors are worded that nobody published.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.labs.gcp.call import Call
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.faults import Faults
from tests.labs.gcp.server import Server
from tests.labs.gcp.state import Instance, Timing
from tests.labs.gcp.tokens import Tokens
from tests.labs.lab import Lab
from tests.labs.network import Network


class GcpLab(Lab[Call, Faults, Timing]):
    """A Compute Engine: `calls` are of methods, those within batches too; `wrong` is what is not
    as Google documents it."""

    cloud: Cloud

    def __init__(self, folder: Path, network: Network | None = None) -> None:
        """`folder` is for credentials."""
        super().__init__(network)
        self.cloud = Cloud()
        self.key_file = folder / "key.json"

    def server(self, listener: socket.socket) -> Server:
        """See `Lab`."""
        self.tokens = Tokens(f"{self.url}/token")
        self.key_file.write_text(json.dumps(self.tokens.key_file(self.project)), "utf-8")
        self._server = Server(listener, self.cloud, self.tokens)
        return self._server

    @property
    def project(self) -> str:
        """The project's id."""
        return self.cloud.project

    @property
    def environment(self) -> dict[str, str]:
        """See `Lab`."""
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file), "NO_GCE_CHECK": "true"}

    @property
    def table(self) -> dict[str, str]:
        """See `Lab`."""
        return {
            "endpoint": self.url,
            "address_service": f"{self.url}/my-address",
            "price_service": self.url,
        }

    @property
    def credentials(self) -> Sequence[str]:
        """See `Lab`."""
        key = str(self.tokens.key_file("")["private_key"])
        return (key.splitlines()[1], *self.tokens.given)

    @property
    def requests(self) -> list[str]:
        """Every HTTP request to the API."""
        return self._server.requests

    @property
    def charged(self) -> list[str]:
        """The quota project of each of them; "" for none."""
        return self._server.charged

    def forget_calls(self) -> None:
        """See `Lab`."""
        super().forget_calls()
        self._server.requests.clear()

    def called(self) -> list[str]:
        """See `Lab`; without the API's name."""
        return [call.method.removeprefix("compute.") for call in self.calls]

    def ids(self) -> list[str]:
        """See `Lab`; their names."""
        return list(self.instances())

    def remains(self) -> list[str]:
        """See `Lab`."""
        with self.cloud.lock:
            disks = [f"disks/{name}" for _, name in self.cloud.disks]
            return [*self.instances(), *disks, *self.cloud.firewalls]

    def instances(self) -> dict[str, str]:
        """Name to status of every instance that is not deleted."""
        with self.cloud.lock:
            return {one.name: one.status(self.cloud.now) for one in self.cloud.living()}

    def instance(self, id_: str) -> Instance:
        """The instance of that name or node, gone or not."""
        name = id_.rpartition("/")[2]
        return next(one for one in self.cloud.instances.values() if one.name == name)

    def address(self, id_: str) -> str | None:
        """See `Lab`."""
        return self.instance(id_).public

    def notify(self, id_: str) -> None:
        """See `Lab`: Google does it half a minute before."""
        self.instance(id_).noticed = True

    def interrupt(self, id_: str) -> None:
        """See `Lab`; the instance ends as its scheduling says."""
        with self.cloud.lock:
            self.cloud.preempt(self.instance(id_))

    def power_off(self, name: str) -> None:
        """Stop an instance behind the client's back: it stays, TERMINATED."""
        with self.cloud.lock:
            self.cloud.stopped(self.instance(name), "stop", user="a@example.com")

    def delete(self, name: str) -> None:
        """Let an instance be gone at once, without a word."""
        with self.cloud.lock:
            one = self.instance(name)
            self.cloud.end(one)
            one.gone_at = one.ends_at

    def revoke(self) -> None:
        """Let every token end, and give no new ones."""
        self.tokens.refused = "Token has been expired or revoked."

    def restore(self) -> None:
        """Undo `revoke`."""
        self.tokens.refused = ""
