"""Connections that run a check's commands for real: this computer stands in for the node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError
from spotdeploy.model import Manifest, Node, NodeState

C = TypeVar("C", bound=Check[Any])
NODE = Node("n-1", "node-1", "fake", "here", NodeState.RUNNING, address="127.0.0.1")
_FOLDERS = ("opt", "var/lib", "run")
_INSIDE = """
root=$1
shift
for folder in opt var/lib run; do
    mount --bind "$root/$folder" "/$folder"
done
export PATH="$root/bin:$PATH"
exec "$@"
"""


@dataclass
class Here(Connection):
    """Runs commands on this computer. With `root`, they see its `opt`, `var/lib` and `run` in
    place of the real ones (in a mount namespace of their own), and its `bin` before all others."""

    root: Path | None = None
    manifest: Manifest = field(default_factory=lambda: Manifest(()))
    answers: dict[str, CommandResult] = field(default_factory=dict)
    """Program to what it is made to answer instead of being run."""
    asked: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in _FOLDERS if self.root else ():
            assert self.root is not None
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        alone: bool = False,
    ) -> CommandResult:
        self.asked.append(list(command))
        if command[0] in self.answers:
            return self.answers[command[0]]
        return await asyncio.to_thread(self._run, command, timeout, stdin)

    def _run(self, command: Sequence[str], timeout: float, stdin: bytes) -> CommandResult:
        try:
            done = subprocess.run(
                self._inside(command), input=stdin, capture_output=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return CommandResult(124, "", f"no end within {timeout:.0f}s")
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return CommandResult(done.returncode, out, err)

    def _inside(self, command: Sequence[str]) -> list[str]:
        if self.root is None:
            return list(command)
        return ["unshare", "--mount", "sh", "-ec", _INSIDE, "sh", str(self.root), *command]

    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port)

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)


def configured(cls: type[C], **keys: object) -> C:
    """A check as it is made from a `[[checks]]` table."""
    table = {"type": cls.kind, **keys}
    return cls(decode(table, cls.Settings, "spotdeploy.toml", "checks[0]"))


def refusal(cls: type[Check[Any]], **keys: object) -> str:
    """What the user is told of a table that cannot work."""
    try:
        configured(cls, **keys)
    except ConfigError as error:
        return error.message
    raise AssertionError(f"{keys} was taken")


async def ask(cls: type[Check[Any]], connection: Connection, **keys: object) -> CheckResult:
    """Ask a check once."""
    return await configured(cls, **keys).run(NODE, connection)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """A real server on a free port of the loopback; `talk` is cut off at the end."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            return  # the client has heard enough
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks)
        await asyncio.sleep(0)


def says(*pieces: bytes, close: bool = True) -> Talk:
    """A server that hears a request, sends these pieces one by one, and closes or stays."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if not close:
            await reader.read()

    return talk


def greets(*pieces: bytes, close: bool = False) -> Talk:
    """A server that speaks first, and closes or stays."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if not close:
            await reader.read()

    return talk
