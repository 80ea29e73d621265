"""The scripted connection behaves as a real one does, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest
import pytest_socket

from spotdeploy.check import CommandResult, Connection
from spotdeploy.errors import UnreachableError
from spotdeploy.testing import ScriptedConnection


async def test_commands_are_answered_by_the_first_pattern_found_in_the_line() -> None:
    here = ScriptedConnection(
        {r"^systemctl show ": CommandResult(0, "active", ""), "systemctl": CommandResult(3, "", "")}
    )
    assert (await here.run(["systemctl", "show", "a b"])).stdout == "active"
    assert (await here.run(["systemctl", "stop"])).exit_code == 3
    assert (await here.run(["ls"])).exit_code == 127
    assert here.asked == [["systemctl", "show", "a b"], ["systemctl", "stop"], ["ls"]]


async def test_an_answer_may_be_worked_out_from_command_and_input() -> None:
    def echo(command: Sequence[str], stdin: bytes) -> CommandResult:
        return CommandResult(0, f"{command[-1]} {stdin.decode()}", "")

    here = ScriptedConnection({"cat": echo})
    assert (await here.run(["cat", "-"], stdin=b"hello")).stdout == "- hello"


async def test_bytes_behind_a_port_are_sent_and_the_stream_ends() -> None:
    here = ScriptedConnection(ports={80: b"HTTP/1.1 200 OK\r\n\r\n"})
    for connect in (here.dial, here.open_tcp):
        reader, writer = await connect(80)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await writer.drain()
        assert await reader.read() == b"HTTP/1.1 200 OK\r\n\r\n"
        writer.close()
        await writer.wait_closed()
    assert here.dialled == [80, 80]


async def test_a_server_behind_a_port_talks() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())

    reader, writer = await ScriptedConnection(ports={7: shout}).dial(7)
    for word in (b"one\n", b"two\n"):
        writer.write(word)
        assert await reader.readline() == word.upper()
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_writing_to_an_end_that_was_closed_is_no_crash() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    reader, writer = await ScriptedConnection(ports={7: hang_up}).dial(7)
    writer.write(b"a")
    assert await reader.read() == b""
    writer.write(b"too late")
    writer.close()
    writer.close()


async def test_a_port_that_nobody_scripted_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        await ScriptedConnection().dial(81)


async def test_an_unreachable_node_raises_on_everything() -> None:
    here = ScriptedConnection({"": CommandResult(0, "", "")}, {80: b""}, reachable=False)
    for ask in (here.run(["ls"]), here.dial(80), here.open_tcp(80)):
        with pytest.raises(UnreachableError):
            await ask


@pytest.fixture
def _no_network() -> Iterator[None]:
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.mark.usefixtures("_no_network")
async def test_it_works_with_the_network_switched_off(
    scripted_connection: Callable[..., Connection],
) -> None:
    reader, writer = await scripted_connection(ports={80: b"hello"}).dial(80)
    assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()
