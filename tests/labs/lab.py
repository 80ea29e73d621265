"""What the labs of the three clouds have in common: a cloud that clients find and tests govern."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from tests.labs.broken_network import BrokenNetwork
from tests.labs.fault_queue import FaultQueue
from tests.labs.http_server import HttpServer
from tests.labs.network import Loopback, Network

HOST = "127.0.0.1"
C = TypeVar("C")
"""A call, as the cloud's lab has it."""
F = TypeVar("F", bound=FaultQueue[Any, Any])
T = TypeVar("T")
"""How slow the cloud is."""


class LabCloud(Protocol[C, F, T]):
    """The behaviour of a cloud, and what it holds."""

    faults: F
    timing: T
    calls: list[C]
    wrong: list[str]
    on_change: list[Callable[[], None]]
    """Called after machines came or went."""


class Lab(ABC, Generic[C, F, T]):
    """A cloud to test against. A context manager.

    Clients find it by `environment` and `table`; everything else is for the test: `faults` says
    what goes wrong, `timing` how slow it is, `calls` what arrived, `wrong` what the cloud would
    not have taken, or is not as the cloud publishes it.
    """

    cloud: LabCloud[C, F, T]
    url: str
    """Where clients find it, once it has started."""
    front: BrokenNetwork | None = None
    """What is between it and its clients; to be set before it starts."""

    def __init__(self, network: Network | None) -> None:
        """`network` is where it listens; None is this host's loopback."""
        self.network = network or Loopback()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to listen."""
        listener = self.network.listener(HOST)
        port = listener.getsockname()[1]
        if self.front:
            port = self.front.start(self.network, port)
        self.url = f"http://{HOST}:{port}"
        self._listening = self.server(listener)
        self._listening.start()

    def stop(self) -> None:
        """Listen no more."""
        if self.front:
            self.front.stop()
        self._listening.stop()

    @abstractmethod
    def server(self, listener: socket.socket) -> HttpServer:
        """What is to listen there, at `url`; it is not yet started."""

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """What a client's environment must have to be let in."""

    @property
    @abstractmethod
    def table(self) -> dict[str, str]:
        """What `[provider.NAME]` must have to come here and nowhere else."""

    @property
    @abstractmethod
    def credentials(self) -> Sequence[str]:
        """What lets clients in: nobody may print it."""

    @property
    def faults(self) -> F:
        """The script of what goes wrong."""
        return self.cloud.faults

    @property
    def timing(self) -> T:
        """How slow the cloud is."""
        return self.cloud.timing

    @property
    def calls(self) -> list[C]:
        """Every call since the start, or since `forget_calls`."""
        return self.cloud.calls

    @property
    def wrong(self) -> list[str]:
        """What the cloud would not have taken, or is not as it publishes it."""
        return self.cloud.wrong

    def forget_calls(self) -> None:
        """Count from here."""
        self.cloud.calls.clear()

    @abstractmethod
    def called(self) -> list[str]:
        """The names of the calls, in order, in the cloud's own words."""

    @abstractmethod
    def ids(self) -> list[str]:
        """The machines that are there and were not told to end."""

    @abstractmethod
    def remains(self) -> list[str]:
        """All that is billed or named and not part of an empty account."""

    @abstractmethod
    def address(self, id_: str) -> str | None:
        """The public address of a machine, by its id here or its node's."""

    @abstractmethod
    def notify(self, id_: str) -> None:
        """Announce on a spot machine that it will be taken back."""

    @abstractmethod
    def interrupt(self, id_: str) -> None:
        """Take a spot machine back."""
