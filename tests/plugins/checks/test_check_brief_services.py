"""Services that speak and are gone before anybody says a word to them, heard through ssh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncssh
import pytest

from spotdeploy.check import Check, CheckResult
from spotdeploy.node.connection import NodeConnection
from spotdeploy_checks.http import HttpCheck
from spotdeploy_checks.tcp import TcpCheck
from tests.plugins.checks.here import NODE, configured, greets, serving
from tests.ssh_server import LetsIn, served

pytestmark = pytest.mark.enable_socket


class ClosesBoth(LetsIn):
    """Forwards to a port of this computer. When that has said all, it closes the whole channel, as
    sshd does when a service has gone with both directions."""

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        async def forward(_: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            received, output = await asyncio.open_connection(dest_host, dest_port)
            writer.write(await received.read())
            output.close()
            writer.close()

        return forward


class TooLate(NodeConnection):
    """Hands a tunnel over only when the other side has closed it, as happens on a busy machine."""

    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await super().open_tcp(port, host=host)
        assert isinstance(writer, asyncssh.SSHWriter)
        await writer.channel.wait_closed()
        return reader, writer


@pytest.fixture
async def late() -> AsyncIterator[NodeConnection]:
    async with served(ClosesBoth(), kind=TooLate) as connection:
        await connection.connect()
        yield connection


async def ask(
    connection: NodeConnection, check: type[Check[Any]], *output: bytes, **keys: object
) -> CheckResult:
    async with serving(greets(*output, close=True)) as port:
        return await configured(check, port=port, **keys).run(NODE, connection)


async def test_a_banner_counts(late: NodeConnection) -> None:
    result = await ask(late, TcpCheck, b"220 brief\r\n", banner="^220")
    assert (result.ok, result.detail) == (True, "220 brief")


async def test_that_it_accepts_counts(late: NodeConnection) -> None:
    assert (await ask(late, TcpCheck)).ok


async def test_an_answer_that_waits_for_no_request_counts(late: NodeConnection) -> None:
    result = await ask(late, HttpCheck, b"HTTP/1.0 200 OK\r\n\r\nbrief", contains="brief")
    assert (result.ok, result.detail) == (True, "status 200")


async def test_who_says_nothing_is_told_so(late: NodeConnection) -> None:
    result = await ask(late, HttpCheck)
    assert "it closed the connection without a word" in result.detail
