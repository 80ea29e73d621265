"""Where a lab lives: on this host's loopback, or in a network namespace with no way out."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

from spotdeploy_local.linux import syscalls
from spotdeploy_local.network.dial import dial
from spotdeploy_local.network.networks import socket_in
from tests.command import enter

T = TypeVar("T")
CONNECT_SECONDS = 10.0


class Network(ABC):
    """Makes sockets and processes that belong there."""

    @property
    @abstractmethod
    def namespace(self) -> Path | None:
        """The file of its namespace; None is this process's own."""

    @property
    def enter(self) -> Sequence[str]:
        """What to put before a command to run it there."""
        return enter(self.namespace)

    @abstractmethod
    def connect(self, host: str, port: int) -> socket.socket:
        """A connection made there."""

    @abstractmethod
    def listener(self, host: str, port: int = 0) -> socket.socket:
        """A bound socket; port 0 is any free one."""

    def run(self, work: Callable[[], T]) -> T:
        """Do something there, always in the same thread."""
        return work()


class HttpConnection(HTTPConnection):
    """An HTTP connection made in a network, also when it must be made again."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        super().__init__(host, port)
        self._network = network

    def connect(self) -> None:
        """Called by the base whenever there is no connection."""
        self.sock = self._network.connect(self.host, self.port)


class Loopback(Network):
    """This host's own loopback."""

    @property
    def namespace(self) -> None:
        """This process's own."""

    def connect(self, host: str, port: int) -> socket.socket:
        """See `Network`."""
        return socket.create_connection((host, port))

    def listener(self, host: str, port: int = 0) -> socket.socket:
        """See `Network`."""
        return _bound(socket.socket(), host, port)


class Namespace(Network):
    """The network namespace on a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, "in-namespace", self._go_there)

    @property
    def namespace(self) -> Path:
        """See `Network`."""
        return self._file

    def connect(self, host: str, port: int) -> socket.socket:
        """See `Network`."""
        return dial(self._file, host, port, CONNECT_SECONDS)

    def listener(self, host: str, port: int = 0) -> socket.socket:
        """See `Network`."""
        return _bound(socket_in(self._file), host, port)

    def run(self, work: Callable[[], T]) -> T:
        """See `Network`."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _go_there(self) -> None:
        file = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(file, syscalls.CLONE_NEWNET)
        os.close(file)


def _bound(made: socket.socket, host: str, port: int) -> socket.socket:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    return made
