"""The one metadata address of a network: each machine hears its own cloud, and about itself."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.labs.http_server import Handler, HttpServer

ADDRESS = "169.254.169.254"
"""The same on every cloud: which one answers depends on who asks."""


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    """A request from a machine."""

    verb: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    address: str
    """The machine's."""


@dataclass(frozen=True, slots=True)
class MetadataResponse:
    """What the machine gets."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class MetadataService(Protocol):
    """A cloud's metadata service. Called from several threads."""

    def answer(self, request: MetadataRequest) -> MetadataResponse | None:
        """None when the address is none of this cloud's machines'."""


class MetadataServer(HttpServer):
    """Asks the clouds, one after the other, whose machine it is."""

    def __init__(self, listener: socket.socket, services: list[MetadataService]) -> None:
        """Clouds may be added to `services`, and removed, at any time."""
        super().__init__(listener, _Handler, services=services)


class _Handler(Handler):
    def answer(self) -> None:
        server: Any = self.server
        self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = MetadataRequest(self.command, self.path, headers, self.client_address[0])
        answers = (service.answer(request) for service in list(server.services))
        said = next((answer for answer in answers if answer), MetadataResponse(404))
        self.send(said.status, said.headers, said.body)
