"""Handshakes take turns: a thousand nodes at once would wait for one another, and time out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncssh
import pytest

from spotdeploy.node.connection import NodeConnection
from tests.ssh_server import LetsIn, served

pytestmark = pytest.mark.enable_socket


class Far(LetsIn):
    """Tells when connections come and go."""

    def __init__(self) -> None:
        self.came, self.went = asyncio.Event(), asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.went.set()


@pytest.fixture
async def far() -> AsyncIterator[tuple[Far, NodeConnection, asyncio.Semaphore]]:
    server, turns = Far(), asyncio.Semaphore(1)
    async with served(server, turns) as connection:
        yield server, connection, turns


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
