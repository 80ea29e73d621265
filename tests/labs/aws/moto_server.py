"""moto's own server, unmodified, in a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.forked import start_module
from tests.labs.network import HttpConnection, Loopback, Network

START_SECONDS = 60.0


@contextmanager
def running_moto(folder: Path, network: Network | None = None) -> Iterator[MotoServer]:
    """A server whose files are in `folder`, in this network namespace or another."""
    server = MotoServer(folder, network)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class MotoServer:
    """Serves the AWS APIs on a port of 127.0.0.1, in this network namespace or another."""

    def __init__(self, folder: Path, network: Network | None = None) -> None:
        """Its log goes to `folder`."""
        self._folder = folder
        self._log = folder / "moto.log"
        self._network = network or Loopback()
        self._process: ForkServerProcess | None = None
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self._free_port()
        own = {
            "MOTO_AMIS_PATH": "read before",  # see tests.preload; without it there are more
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        self._process = start_module(
            "moto.server",
            f"--port={self.port}",
            folder=self._folder,
            environment={**os.environ, **own},
            out=self._log,
            err=self._log,
            network=self._network.namespace,
        )
        self._wait()

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            self._process.join(30)
            self._process = None

    def reset(self) -> None:
        """Forget everything."""
        self.send("POST", "/moto-api/reset")

    def send(self, method: str, path: str) -> None:
        """Send a request without a body. Raises OSError when it does not listen."""
        connection = HttpConnection(self._network, *self.address)
        connection.request(method, path)
        connection.getresponse().read()
        connection.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if not self._process.is_alive():
                break
            try:
                self.send("GET", "/moto-api/data.json")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"moto did not start:\n{self._log.read_text()[-2000:]}")

    def _free_port(self) -> int:
        with self._network.listener("127.0.0.1") as probe:
            port: int = probe.getsockname()[1]
            return port
