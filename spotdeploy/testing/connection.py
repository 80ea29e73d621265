"""A connection to no node: its answers are written down beforehand."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from spotdeploy.check import CommandResult, Connection
from spotdeploy.errors import UnreachableError
from spotdeploy.model import Manifest

Answer = CommandResult | Callable[[Sequence[str], bytes], CommandResult]
"""What a command gives: always the same, or worked out from the command and its input."""
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What stands behind a port."""
NOT_FOUND = CommandResult(127, "", "command not found")


class ScriptedConnection(Connection):
    """Answers commands and TCP connections by script, and keeps what was asked.

    Makes no socket and starts no process.
    """

    def __init__(
        self,
        commands: Mapping[str, Answer] | None = None,
        ports: Mapping[int, Server | bytes] | None = None,
        *,
        manifest: Manifest | None = None,
        reachable: bool = True,
        otherwise: Answer = NOT_FOUND,
    ) -> None:
        """Commands are chosen by the first regular expression found in the command line; `ports`
        are open both on the node and from outside, and bytes are what such a port answers.
        `otherwise` answers every other command."""
        self.manifest = manifest or Manifest(())
        self.reachable = reachable
        self.asked: list[list[str]] = []
        """Every command so far."""
        self.dialled: list[int] = []
        """Every port so far."""
        self._commands = dict(commands or {})
        self._ports = {} if ports is None else ports
        self._otherwise = otherwise
        self._serving: set[asyncio.Task[None]] = set()

    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        alone: bool = False,
    ) -> CommandResult:
        """Answers at once, whatever the timeout."""
        del timeout, alone
        self._require()
        self.asked.append(list(command))
        line = shlex.join(command)
        found = (answer for pattern, answer in self._commands.items() if re.search(pattern, line))
        answer = next(found, self._otherwise)
        return answer if isinstance(answer, CommandResult) else answer(command, stdin)

    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        del host
        return await self.dial(port)

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._require()
        self.dialled.append(port)
        if port not in self._ports:
            raise ConnectionRefusedError(f"port {port}: connection refused")
        server = self._ports[port]
        here, there = _pair()
        task = asyncio.ensure_future(_serve(server, *there))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return here

    def _require(self) -> None:
        if not self.reachable:
            raise UnreachableError("the scripted node: the connection was lost", phase="connection")


async def _serve(
    server: Server | bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if isinstance(server, bytes):
        writer.write(server)
    else:
        await server(reader, writer)
    writer.close()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _pair() -> tuple[Ends, Ends]:
    """Two ends of a stream in memory: what one writes the other reads."""
    left, right = _MemoryTransport(), _MemoryTransport()
    left.peer, right.peer = right, left
    return left.ends(), right.ends()


class _MemoryTransport(asyncio.Transport):
    """One end of a stream."""

    peer: _MemoryTransport

    def __init__(self) -> None:
        super().__init__()
        self._reader = asyncio.StreamReader()
        self._protocol = asyncio.StreamReaderProtocol(self._reader)
        self._ended = False
        self._closed = False

    def ends(self) -> Ends:
        self._protocol.connection_made(self)
        loop = asyncio.get_running_loop()
        return self._reader, asyncio.StreamWriter(self, self._protocol, self._reader, loop)

    def write(self, data: Any) -> None:
        if not self._ended and not self.peer.is_closing():
            self.peer.receive(bytes(data))

    def receive(self, data: bytes) -> None:
        self._reader.feed_data(data)

    def receive_eof(self) -> None:
        self._reader.feed_eof()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self.peer.receive_eof()

    def close(self) -> None:
        self.write_eof()
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed
