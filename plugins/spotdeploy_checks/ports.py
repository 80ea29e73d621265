"""Talking to a TCP port of a node: from the node itself, or from this computer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec

from spotdeploy.check import Connection
from spotdeploy_checks.tls import TlsStream

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Side = Literal["node", "here"]
"""Who connects: the node to itself, through ssh; or this computer to the node's address."""
Tls = tuple[ssl.SSLContext, str]
"""How certificates are verified, and the server's name."""
_CHUNK: Final = 65536


async def exchange(
    connection: Connection,
    port: int,
    side: Side,
    say: bytes,
    take: Callable[[bytes], bool],
    limit: int,
    tls: Tls | None = None,
) -> None:
    """Connect, send `say`, and hand what comes to `take` until that is true, `limit` bytes came, or
    the end, which is handed on as nothing. A service may speak and be gone before it is told
    anything: what it said counts.

    Raises OSError when the port refuses or cuts the connection, or TLS fails.
    """
    reader, writer = await _streams(connection, port, side)
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


def place(port: int, side: Side) -> str:
    """How titles and details name it: ":80", or ":80 from here"."""
    return f":{port}" if side == "node" else f":{port} from here"


async def _streams(
    connection: Connection, port: int, side: Side
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if side == "node":
        return await connection.open_tcp(port)
    return await connection.dial(port)
