"""The GCP lab: a small Compute Engine that is held to Google's own description of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from tests.labs.gcp.call import Call
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.faults import Faults
from tests.labs.gcp.server import Server
from tests.labs.gcp.state import Instance, Timing
from tests.labs.gcp.tokens import Tokens
from tests.labs.network import Loopback, Network

HOST = "127.0.0.1"


class GcpLab:
    """A Compute Engine to test against. A context manager.

    Clients find it by `endpoint` and `environment`; everything else is for the test: `faults`
    says what goes wrong, `timing` how slow it is, `calls` what arrived, `wrong` what is not as
    Google documents it.
    """

    def __init__(self, folder: Path, network: Network | None = None) -> None:
        """`folder` is for credentials; `network` is where it listens, this host by default."""
        self._folder = folder
        self.network = network or Loopback()
        self.cloud = Cloud()

    def __enter__(self) -> GcpLab:
        listener = self.network.listener(HOST)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.tokens = Tokens(f"{self.url}/token")
        self._server = Server(listener, self.cloud, self.tokens)
        self._server.start()
        self.key_file = self._folder / "key.json"
        self.key_file.write_text(json.dumps(self.tokens.key_file(self.project)), "utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def project(self) -> str:
        """The project's id."""
        return self.cloud.project

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment must have to be let in."""
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file), "NO_GCE_CHECK": "true"}

    @property
    def table(self) -> dict[str, str]:
        """What `[provider.gcp]` must have to come here and nowhere else."""
        return {"endpoint": self.url, "address_service": f"{self.url}/my-address"}

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
        """Every call of a method, those within batches too."""
        return self.cloud.calls

    @property
    def requests(self) -> list[str]:
        """Every HTTP request to the API."""
        return self._server.requests

    @property
    def wrong(self) -> list[str]:
        """What is not as Google documents it."""
        return self.cloud.wrong

    def methods(self) -> list[str]:
        """The methods called, in order, without the API's name."""
        return [call.method.removeprefix("compute.") for call in self.calls]

    def forget_calls(self) -> None:
        """Count from here."""
        self.cloud.calls.clear()
        self._server.requests.clear()

    def instances(self) -> dict[str, str]:
        """Name to status of every instance that is not deleted."""
        with self.cloud.lock:
            return {one.name: one.status(self.cloud.now) for one in self.cloud.living()}

    def instance(self, name: str) -> Instance:
        """The instance of that name, gone or not."""
        return next(one for one in self.cloud.instances.values() if one.name == name)

    def notify(self, name: str) -> None:
        """Announce the preemption of a spot instance, as Google does half a minute before it."""
        self.instance(name).noticed = True

    def preempt(self, name: str) -> None:
        """Take a spot instance back; it ends as its scheduling says."""
        with self.cloud.lock:
            self.cloud.preempt(self.instance(name))

    def stop(self, name: str) -> None:
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
