"""Handshakes take turns: a thousand nodes at once would wait for one another, and time out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncssh
import pytest

from spotdeploy import keys
from spotdeploy.model import Node, NodeState
from spotdeploy.payload import Manifest
from spotdeploy.ssh import Dialer, NodeConnection
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider

pytestmark = pytest.mark.enable_socket
NODE = Node(id="1", name="one", provider="fake", location="here", state=NodeState.RUNNING)


class Far(asyncssh.SSHServer):
    """Lets everybody in and tells when connections come and go."""

    def __init__(self) -> None:
        self.came, self.went = asyncio.Event(), asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.went.set()

    def begin_auth(self, username: str) -> bool:
        return False


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


@pytest.fixture
async def far() -> AsyncIterator[tuple[Far, NodeConnection, asyncio.Semaphore]]:
    host, login = keys.new_pair("host"), keys.new_pair("login")
    server, turns = Far(), asyncio.Semaphore(1)

    def answer(process: asyncssh.SSHServerProcess[str]) -> None:
        process.exit(0)

    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: server, server_host_keys=[host.load()],
        process_factory=answer,
    ) as listener:  # fmt: skip
        near = Near(FakeConfig(), "here", FakeCloud())
        near.port = listener.get_port()
        connection = NodeConnection(
            NODE, NearDialer(near), "user", login.load(), host.public, Manifest(()), turns
        )
        yield server, connection, turns
        await connection.close()


async def test_a_handshake_waits_for_its_turn(
    far: tuple[Far, NodeConnection, asyncio.Semaphore],
) -> None:
    server, connection, turns = far
    async with turns:
        task = asyncio.create_task(connection.connect(5.0))
        await server.came.wait()
        assert not task.done()
        assert not connection.connected
    await task
    assert connection.connected
    assert not turns.locked()


async def test_who_gives_up_waiting_closes_the_connection(
    far: tuple[Far, NodeConnection, asyncio.Semaphore],
) -> None:
    server, connection, turns = far
    async with turns:
        task = asyncio.create_task(connection.connect(5.0))
        await server.came.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await server.went.wait()
    assert not turns.locked()
