"""moto's own server, unmodified, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path

from tests.labs.aws.amis import write_amis

Connect = Callable[[str, int], socket.socket]
START_SECONDS = 60.0


class MotoServer:
    """Serves the AWS APIs on a port of 127.0.0.1, in this network namespace or another."""

    def __init__(self, folder: Path, enter: Sequence[str] = (), port: int | None = None) -> None:
        """`enter` is put before the command, such as `nsenter --net=FILE`; then give a `port`."""
        self._folder = folder
        self._enter = tuple(enter)
        self.port = port or _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def start(self, connect: Connect) -> None:
        """Start it and wait until it answers."""
        amis = self._folder / "amis.json"
        write_amis(amis)
        environment = {
            **os.environ,
            "MOTO_AMIS_PATH": str(amis),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        command = [*self._enter, sys.executable, "-m", "moto.server", "-p", str(self.port)]
        with (self._folder / "moto.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait(connect)

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _wait(self, connect: Connect) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                connection = HTTPConnection(*self.address)
                connection.sock = connect(*self.address)
                connection.request("GET", "/moto-api/data.json")
                connection.getresponse().read()
                connection.close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(
            f"moto did not start:\n{(self._folder / 'moto.log').read_text()[-2000:]}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
