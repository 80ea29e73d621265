"""Talking to a TCP port: from a node to itself or to others of its run, or from this computer."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Final, TypeVar

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.model import Node
from spotdeploy_checks.tls import TlsStream

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
NODE: Final = "node"
HERE: Final = "here"
ITSELF: Final = "127.0.0.1"
Tls = tuple[ssl.SSLContext, str]
"""How certificates are verified, and the server's name."""
_CHUNK: Final = 65536


async def exchange(
    connection: Connection,
    port: int,
    host: str | None,
    say: bytes,
    take: Callable[[bytes], bool],
    limit: int,
    tls: Tls | None = None,
) -> None:
    """Connect, from the node to `host` or, without one, from this computer to the node; send `say`,
    and hand what comes to `take` until that is true, `limit` bytes came, or
    the end, which is handed on as nothing. A service may speak and be gone before it is told
    anything: what it said counts.

    Raises OSError when the port refuses or cuts the connection, or TLS fails.
    """
    reader, writer = await _streams(connection, port, host)
    try:
        stream = await TlsStream(reader, writer, *tls).shake_hands() if tls else None
        source, sink = (stream or reader), (stream or writer)
        if say:
            with suppress(ConnectionError):  # what was lost is told by what can be read
                sink.write(say)
                await sink.drain()
        while limit > 0:
            data = await source.read(min(_CHUNK, limit))
            limit -= len(data)
            if take(data) or not data:
                return
    finally:
        writer.close()


class PortSettings(CheckSettings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The keys of a check that talks to a port."""

    port: Port
    """The TCP port that is asked."""
    from_: str = NODE
    """Who asks: `node`, the node itself through ssh, so that the port may be closed to the outside;
    `here`, this computer, so that the port must be open to it; or a group, each of whose nodes
    asks, and no others do."""
    to: str = ""
    """A group of the run: each of its nodes is asked, at the address at which the one that asks
    reaches it. When left out, a node asks itself."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.from_ == HERE and self.to:
            raise ValueError(f'to: from = "{HERE}" asks each node itself; leave one of them out')


P = TypeVar("P", bound=PortSettings)


class PortCheck(Check[P]):
    """A condition of a port, of the node's own or of every node of a group."""

    @property
    def group(self) -> str:
        return "" if self.settings.from_ in (NODE, HERE) else self.settings.from_

    @property
    def asks(self) -> str:
        return self.settings.to

    def where(self, path: str = "") -> str:
        """What is asked, for titles: ":80", ":80 from here" or ":80 of head"."""
        of = f" of {self.settings.to}" if self.settings.to else ""
        side = " from here" if self.settings.from_ == HERE else ""
        return f":{self.settings.port}{path}{of}{side}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        if self.settings.from_ == HERE:
            return await self.ask(connection, None)
        if not self.settings.to:
            return await self.ask(connection, ITSELF)
        peers = [one for one in connection.peers(self.settings.to) if one.id != node.id]
        if not peers:
            return self.failed(f"group {self.settings.to} has no other node")
        results = await asyncio.gather(*(self._ask(connection, node, peer) for peer in peers))
        return next((one for one in results if not one.ok), results[0])

    @abstractmethod
    async def ask(self, connection: Connection, host: str | None) -> CheckResult:
        """Ask once; `host` as of `exchange`."""

    async def _ask(self, connection: Connection, node: Node, peer: Node) -> CheckResult:
        host = reached_at(node, peer)
        if host is None:
            return self.failed(f"{peer.name}: it has no address that is known")
        result = await self.ask(connection, host)
        return replace(result, detail=f"{peer.name}: {result.detail}")


def reached_at(node: Node, peer: Node) -> str | None:
    """The address at which a node reaches another one of its run: the private one where both are in
    one location."""
    near = (node.provider, node.location) == (peer.provider, peer.location)
    return (peer.private_address if near else None) or peer.address


async def _streams(
    connection: Connection, port: int, host: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if host is None:
        return await connection.dial(port)
    return await connection.open_tcp(port, host=host)
