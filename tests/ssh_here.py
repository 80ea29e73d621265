"""An ssh server in this process, and spotdeploy's own connection to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from spotdeploy import keys
from spotdeploy.model import Node, NodeState
from spotdeploy.payload import Manifest
from spotdeploy.ssh import Dialer, NodeConnection
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider

NODE = Node(id="1", name="one", provider="fake", location="here", state=NodeState.RUNNING)


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


@asynccontextmanager
async def served(
    server: asyncssh.SSHServer,
    turns: asyncio.Semaphore | None = None,
    kind: type[NodeConnection] = NodeConnection,
) -> AsyncIterator[NodeConnection]:
    """A connection, not yet made, to a server whose every command ends well at once."""
    host, login = keys.new_pair("host"), keys.new_pair("login")

    def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.exit(0)

    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: server, server_host_keys=[host.load()],
        process_factory=answer, encoding=None,
    ) as listener:  # fmt: skip
        near = Near(FakeConfig(), "here", FakeCloud())
        near.port = listener.get_port()
        connection = kind(
            NODE, NearDialer(near), "user", login.load(), host.public, Manifest(()), turns
        )
        yield connection
        await connection.close()
