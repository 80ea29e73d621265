"""TLS over streams that are no sockets: a port that is reached through ssh has none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, Self, TypeVar

from spotdeploy.text import plain

_CHUNK: Final = 65536
R = TypeVar("R")


class TlsStream:
    """Reads and writes in the clear what goes encrypted over a reader and a writer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        name: str,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def shake_hands(self) -> Self:
        """Agree with the server, and see its certificate. Raises OSError with what failed."""
        try:
            await self._until_done(self._tls.do_handshake)
        except ssl.SSLCertVerificationError as error:
            raise OSError(f"its certificate is not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise OSError(f"it does not speak TLS with us: {reason}") from error
        return self

    async def read(self, limit: int) -> bytes:
        """At most `limit` bytes; none at the end, however the server ended."""
        try:
            return await self._until_done(partial(self._tls.read, limit))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, data: bytes) -> None:
        """Keep data for `drain`."""
        self._tls.write(data)

    async def drain(self) -> None:
        """Send what was written."""
        if data := self._outgoing.read():
            self._writer.write(data)
        await self._writer.drain()

    async def _until_done(self, step: Callable[[], R]) -> R:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self.drain()
                if data := await self._reader.read(_CHUNK):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self.drain()
                return result


def context(ca: str, *, verify: bool) -> ssl.SSLContext:
    """What certificates are held against: those in the file `ca`, or this computer's when it is
    empty. A file may hold the server's own certificate as well as one above it.

    Raises ValueError when the file has none.
    """
    try:
        made = ssl.create_default_context(cafile=ca or None)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"has no certificates as PEM: {plain(str(error), limit=100)}") from error
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
