"""An ssh server in this process, and spotdeploy's own connection to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh
import pytest

from spotdeploy.model import Manifest, Node, NodeState
from spotdeploy.node import connection as ssh
from spotdeploy.node import keys, paths
from spotdeploy.node.connection import Dialer, NodeConnection
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider

NODE = Node(id="1", name="one", provider="fake", location="here", state=NodeState.RUNNING)

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SSH_CONNECTION": "a 1"}


class Near(FakeProvider):
    """Dials one port of this computer, whatever the node."""

    port = 0


class NearDialer(Dialer):
    """Opens connections to that port."""

    async def open(self, node: Node, port: int, timeout: float) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        assert isinstance(self.provider, Near)
        address = ("127.0.0.1", self.provider.port)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return sock


class LetsIn(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return False


class Commands:
    """Runs here what it is asked to, as itself: the user is root, so nothing asks for sudo."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The command of every channel so far."""
        self.before = ""
        """What the user's own shell runs before each, from its .bashrc for example."""
        self._running: list[tuple[asyncio.subprocess.Process, asyncio.Task[object] | None]] = []

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command."""
        self.asked.append(process.command or "")
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", self.before + self.asked[-1]),
            env=ENVIRONMENT,
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._running.append((shell, asyncio.current_task()))
        feeding = asyncio.create_task(_feed(process.stdin, shell.stdin))
        await asyncio.gather(
            _copy(shell.stdout, process.stdout), _copy(shell.stderr, process.stderr)
        )
        process.exit(await shell.wait() & 0xFF)
        feeding.cancel()
        await asyncio.gather(feeding, process.wait_closed(), return_exceptions=True)

    async def end(self) -> None:
        """Stop what is still running."""
        for shell, _ in self._running:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        tasks = (task for _, task in self._running if task is not None)
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: Any, target: Any) -> None:
    """Copy to the end. asyncssh's own redirection may lose the end of what goes into a pipe. The
    end of one of a channel's outputs is not told: in ssh it would be that of both."""
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


async def _feed(source: Any, target: Any) -> None:
    """Copy to the end, and tell it."""
    await _copy(source, target)
    with suppress(ConnectionError):
        target.write_eof()


@asynccontextmanager
async def served(
    server: asyncssh.SSHServer,
    turns: asyncio.Semaphore | None = None,
    kind: type[NodeConnection] = NodeConnection,
    *,
    commands: Commands | None = None,
    record: str = "/dev/null",
) -> AsyncIterator[NodeConnection]:
    """A connection, not yet made, to a server that runs commands here. `record` is where it keeps
    the record of our connections."""
    host, login = keys.new_pair("host"), keys.new_pair("login")
    commands = commands or Commands()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh, "REGISTER", ssh.REGISTER.replace(paths.SESSIONS, record))
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: server,
            server_host_keys=[host.load()],
            process_factory=commands.process,
            encoding=None,
        ) as listener:
            near = Near(FakeConfig(), "here", FakeCloud())
            near.port = listener.get_port()
            connection = kind(
                NODE, NearDialer(near), "root", login.load(), host.public, Manifest(()), turns
            )
            yield connection
            await connection.close()
            await commands.end()
