"""moto's own server, unmodified, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.labs.aws.amis import write_amis
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
        """Its images and log go to `folder`."""
        self._folder = folder
        self._network = network or Loopback()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self._free_port()
        amis = self._folder / "amis.json"
        write_amis(amis)
        environment = {
            **os.environ,
            "MOTO_AMIS_PATH": str(amis),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        command = [*self._network.enter, sys.executable, "-m", "moto.server", "-p", str(self.port)]
        with (self._folder / "moto.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait()

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)
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
            if self._process.poll() is not None:
                break
            try:
                self.send("GET", "/moto-api/data.json")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(
            f"moto did not start:\n{(self._folder / 'moto.log').read_text()[-2000:]}"
        )

    def _free_port(self) -> int:
        with self._network.listener("127.0.0.1") as probe:
            port: int = probe.getsockname()[1]
            return port
