"""Talking to a TCP port of a node: from the node itself, or from this computer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec

from spotdeploy.check import Connection

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Side = Literal["node", "here"]
"""Who connects: the node to itself, through ssh; or this computer to the node's address."""
_CHUNK: Final = 65536


async def exchange(
    connection: Connection,
    port: int,
    side: Side,
    say: bytes,
    is_complete: Callable[[bytes], bool],
    limit: int,
) -> bytes:
    """Connect, send `say`, and read until `enough`, the end, or `limit` bytes. A service may speak
    and be gone before it is told anything: what it said counts.

    Raises OSError when the port refuses or cuts the connection.
    """
    reader, writer = await _streams(connection, port, side)
    try:
        if say:
            with suppress(ConnectionError):  # what was lost is told by what can be read
                writer.write(say)
                await writer.drain()
        received = b""
        while not is_complete(received) and len(received) < limit:
            data = await reader.read(min(_CHUNK, limit - len(received)))
            if not data:
                break
            received += data
        return received
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
