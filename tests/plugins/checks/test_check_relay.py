"""The socket through which another process runs commands over our connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from spotdeploy.check import CommandResult, Connection
from spotdeploy.testing import ScriptedConnection
from spotdeploy_checks.relay import LIMIT, Answered, Asked, Relay


@asynccontextmanager
async def relayed(connection: Connection, folder: Path) -> AsyncIterator[Relay]:
    relay = Relay(connection, 5.0)
    async with relay.serving(folder / "relay"):
        yield relay


async def reported(folder: Path, question: bytes) -> Answered:
    """What one client is answered."""
    reader, writer = await asyncio.open_unix_connection(folder / "relay")
    try:
        writer.write(question)
        await writer.drain()
        writer.write_eof()
        return msgspec.json.decode(await reader.read(), type=Answered)
    finally:
        writer.close()


def asking(command: str) -> bytes:
    return msgspec.json.encode(Asked(command))


async def test_commands_of_many_clients_at_once_get_each_their_own_answer(tmp_path: Path) -> None:
    node = ScriptedConnection(
        otherwise=lambda command, _: CommandResult(len(command[2]), command[2], "err")
    )
    async with relayed(node, tmp_path):
        lines = ["x" * count for count in range(1, 50)]
        answers = await asyncio.gather(*(reported(tmp_path, asking(line)) for line in lines))
    assert answers == [Answered(len(line), line, "err") for line in lines]
    assert ["sh", "-c", "x"] in node.asked


@pytest.mark.parametrize(
    "question", [b"", b"{", b'{"command": 1}', b"\xff" * 99, asking("x" * 2 * LIMIT)]
)
async def test_what_is_no_command_is_not_run(tmp_path: Path, question: bytes) -> None:
    node = ScriptedConnection()
    async with relayed(node, tmp_path):
        answer = await reported(tmp_path, question)
    assert "not a command" in answer.trouble
    assert node.asked == []


async def test_a_lost_node_is_remembered_and_told(tmp_path: Path) -> None:
    async with relayed(ScriptedConnection(reachable=False), tmp_path) as relay:
        answer = await reported(tmp_path, asking("true"))
    assert "the connection was lost" in answer.trouble
    assert relay.broken.is_set()
    assert relay.error is not None


async def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    node = ScriptedConnection(otherwise=CommandResult(0, "x" * LIMIT, ""))
    async with relayed(node, tmp_path):
        _, writer = await asyncio.open_unix_connection(tmp_path / "relay")
        writer.write(asking("true"))
        writer.write_eof()
        writer.transport.abort()
        assert (await reported(tmp_path, asking("true"))).exit_code == 0


async def test_a_command_still_under_way_at_the_end_is_given_up(tmp_path: Path) -> None:
    class Endless(ScriptedConnection):
        begun = asyncio.Event()
        given_up = False

        async def run(self, command: object, **keys: object) -> CommandResult:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                type(self).given_up = True
                raise
            raise AssertionError

    async with relayed(Endless(), tmp_path):
        client = asyncio.create_task(reported(tmp_path, asking("sleep 600")))
        await Endless.begun.wait()
    assert Endless.given_up
    with pytest.raises(msgspec.DecodeError):
        await client
