"""A unix socket through which another process runs commands over a connection we already hold.

One command for each socket connection: the client sends a JSON object and ends its side, and is
answered with another. Who may open the socket is left to the folder it is in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.check import Connection
from spotdeploy.errors import UnreachableError

LIMIT: Final = 1 << 20
"""The longest command, in bytes."""


class Asked(msgspec.Struct, frozen=True):
    """What a client sends."""

    command: str
    """Run by `sh -c` on the node, as root."""


class Answered(msgspec.Struct, frozen=True):
    """What it is answered."""

    exit_code: int = 255
    stdout: str = ""
    stderr: str = ""
    trouble: str = ""
    """Why there is no true answer; empty when there is one."""


class Relay:
    """Runs commands for clients. Once the node cannot be reached, `broken` is set."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        """`timeout` is for each command, in seconds."""
        self.broken = asyncio.Event()
        self.error: UnreachableError | None = None
        self._connection = connection
        self._timeout = timeout
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve on a socket at this path; commands still under way at the end are given up."""
        server = await asyncio.start_unix_server(self._begin, path, limit=LIMIT)
        try:
            yield
        finally:
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await _all(reader))
            writer.write(msgspec.json.encode(answer))
            await writer.drain()
        except ConnectionError:
            return  # the client went away; there is nobody to answer
        finally:
            writer.close()

    async def _answer(self, question: bytes) -> Answered:
        try:
            asked = msgspec.json.decode(question, type=Asked)
        except msgspec.MsgspecError as error:
            return Answered(trouble=f"not a command of at most {LIMIT} bytes: {error}")
        try:
            line = ["sh", "-c", asked.command]
            result = await self._connection.run(line, timeout=self._timeout, alone=True)
        except UnreachableError as error:
            self.error = self.error or error
            self.broken.set()
            return Answered(trouble=error.message)
        trouble = "its output was too long to be read to the end" if result.truncated else ""
        return Answered(result.exit_code, result.stdout, result.stderr, trouble)


async def _all(reader: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while data := await reader.read(65536):
        kept += data[: LIMIT + 1 - len(kept)]
    return bytes(kept)
