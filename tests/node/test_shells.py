"""Commands share a shell on the node: each gets its own output, none keeps the others waiting."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from spotdeploy.errors import ShutOutError, UnreachableError
from spotdeploy.node.connection import NodeConnection, connect_until
from spotdeploy.node.exec import OUTPUT_LIMIT
from spotdeploy.node.keys import new_pair
from spotdeploy.node.shells import SHELLS
from tests.ssh_server import ENVIRONMENT, Commands, LetsIn, served

pytestmark = pytest.mark.enable_socket


class Far(LetsIn):
    """Can break the connection off."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.cut = conn.abort


@dataclass
class Held:
    """Both ends of a connection that is made."""

    far: Far
    commands: Commands
    connection: NodeConnection
    record: Path

    @property
    def channels(self) -> int:
        return len(self.commands.asked)


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    far, commands, record = Far(), Commands(), tmp_path / "sessions"
    async with served(far, commands=commands, record=str(record)) as connection:
        await connection.connect(10.0)
        yield Held(far, commands, connection, record)


async def test_a_dozen_commands_at_once_take_one_channel(held: Held) -> None:
    connection = held.connection
    found = await asyncio.gather(*(connection.run(["echo", str(n)]) for n in range(12)))
    assert [one.stdout for one in found] == [f"{n}\n" for n in range(12)]
    assert held.channels == 1


async def test_the_connection_is_on_record_before_anything_is_asked(held: Held) -> None:
    connection = held.connection
    assert held.record.read_text() == "a 1\n"
    await connection.run(["true"])
    assert held.record.read_text() == "a 1\n"


async def test_output_errors_and_exit_code_are_told_apart(held: Held) -> None:
    script = "printf 'out\\0\\036'; printf err >&2; exit 7"
    result = await held.connection.run(["sh", "-c", script])
    assert (result.exit_code, result.stdout, result.stderr) == (7, "out\0\x1e", "err")
    assert not result.truncated


async def test_arguments_arrive_as_they_are(held: Held) -> None:
    odd = ["$HOME", "a'b", "two\nlines", "", "*", "; exit 3", "é"]
    result = await held.connection.run(["printf", "%s|", *odd])
    assert result.stdout == "|".join(odd) + "|"


async def test_a_word_of_the_shell_is_no_command(held: Held) -> None:
    connection = held.connection
    for word in ("exit", "A=b", "cd"):
        assert (await connection.run([word, "3"])).exit_code == 127
    assert (await connection.run(["echo", "on"])).stdout == "on\n"
    assert held.channels == 1


async def test_a_command_finds_its_input_empty(held: Held) -> None:
    assert (await held.connection.run(["cat"])).exit_code == 0


async def test_what_is_given_as_input_arrives(held: Held) -> None:
    connection = held.connection
    given = b"\0" + b"x" * 100_000
    assert (await connection.run(["wc", "-c"], stdin=given)).stdout.strip() == "100001"
    assert [line.endswith(" wc -c") for line in held.commands.asked] == [False, True]


async def test_a_slow_command_keeps_no_other_waiting(held: Held, tmp_path: Path) -> None:
    connection = held.connection
    os.mkfifo(tmp_path / "gate")
    slow = asyncio.create_task(connection.run(["cat", str(tmp_path / "gate")]))
    await asyncio.sleep(0)
    found = await asyncio.gather(*(connection.run(["echo", str(n)]) for n in range(5)))
    assert [one.stdout for one in found] == [f"{n}\n" for n in range(5)]
    assert not slow.done()
    assert 2 <= held.channels <= SHELLS
    await asyncio.to_thread((tmp_path / "gate").write_text, "through")
    assert (await slow).stdout == "through"


async def test_what_does_not_end_in_time_is_ended_and_its_shell_goes_on(
    held: Held, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    script = f"echo begun; cat {tmp_path / 'gate'}"
    result = await held.connection.run(["sh", "-c", script], timeout=0.2)
    assert (result.exit_code, result.stdout) == (124, "begun\n")
    assert result.stderr.startswith("no end within 0.2s")
    assert (await held.connection.run(["echo", "on"])).stdout == "on\n"
    assert held.channels == 1


async def test_what_cannot_be_ended_costs_only_its_shell(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdeploy.node.shells.GRACE", 0.0)
    stubborn = "trap '' TERM; exec setsid -w sh -c 'echo begun; exec sleep 9'"
    result = await held.connection.run(["sh", "-c", stubborn], timeout=0.3)
    assert (result.exit_code, result.stdout) == (124, "begun\n")
    assert (await held.connection.run(["echo", "on"])).stdout == "on\n"
    assert held.channels == 2


async def test_more_commands_than_shells_all_end_when_none_answers(
    held: Held, tmp_path: Path
) -> None:
    connection = held.connection
    os.mkfifo(tmp_path / "gate")
    asking = (
        connection.run(["cat", str(tmp_path / "gate")], timeout=0.3) for _ in range(SHELLS + 2)
    )
    assert {one.exit_code for one in await asyncio.gather(*asking)} == {124}
    assert (await connection.run(["echo", "on"])).stdout == "on\n"


async def test_of_much_output_the_beginning_is_kept(held: Held) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 5"
    result = await held.connection.run(["sh", "-c", script])
    assert result.stdout == "x" * OUTPUT_LIMIT
    assert (result.exit_code, result.stderr, result.truncated) == (5, "end\n", True)


async def test_who_ends_the_shell_is_told_so_and_the_next_gets_another(held: Held) -> None:
    connection = held.connection
    assert (
        await connection.run(["sh", "-c", "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)"])
    ).exit_code == 255
    assert (await connection.run(["echo", "on"])).stdout == "on\n"
    assert held.channels == 2


async def test_a_lost_connection_is_an_unreachable_node(held: Held, tmp_path: Path) -> None:
    connection = held.connection
    os.mkfifo(tmp_path / "gate")
    task = asyncio.create_task(connection.run(["cat", str(tmp_path / "gate")]))
    await asyncio.sleep(0)
    held.far.cut()
    with pytest.raises(UnreachableError):
        await task
    assert not connection.connected
    with pytest.raises(UnreachableError, match="the connection was lost"):
        await connection.run(["true"])


async def test_a_node_that_cannot_keep_the_record_is_not_ready(tmp_path: Path) -> None:
    async with served(Far(), record=str(tmp_path / "absent/sessions")) as connection:
        with pytest.raises(UnreachableError, match=r"not ready yet: .*sessions"):
            await connection.connect(10.0)
        assert not connection.connected


CHATTER = "while sleep 0.01; do echo noise; done & echo $!"


async def test_a_shell_in_which_something_else_speaks_is_given_up(held: Held) -> None:
    connection = held.connection
    pid = int((await connection.run(["sh", "-c", CHATTER])).stdout.split()[0])
    try:
        for _ in range(100):
            await connection.run(["true"])
            await asyncio.sleep(0.03)
        assert held.channels == 2
        assert (await connection.run(["echo", "quiet"])).stdout == "quiet\n"
    finally:
        with suppress(ProcessLookupError):  # it ends once nobody hears it
            os.kill(pid, signal.SIGKILL)


async def test_a_command_alone_hears_nothing_of_what_another_left_running(held: Held) -> None:
    connection = held.connection
    pid = int((await connection.run(["sh", "-c", CHATTER])).stdout.split()[0])
    try:
        for _ in range(5):
            result = await connection.run(["sh", "-c", "sleep 0.03; echo quiet"], alone=True)
            assert result.stdout == "quiet\n"
    finally:
        os.kill(pid, signal.SIGKILL)


NOISE = "echo welcome; echo careful >&2; printf '\\036x 0\\n'; "


@pytest.mark.parametrize("wait", ["", "sleep 0.2; ", "head -c 2000000 /dev/zero; "])
async def test_what_a_login_shell_says_is_part_of_no_answer(wait: str) -> None:
    commands = Commands()
    commands.before = NOISE + wait + NOISE
    async with served(Far(), commands=commands) as connection:
        await connection.connect(10.0)
        await asyncio.sleep(0.3)
        said = ["sh", "-c", "echo yes; echo no >&2"]
        for keys in ({}, {"alone": True}, {"stdin": b"given"}):
            result = await connection.run(said, **keys)
            assert (result.exit_code, result.stdout, result.stderr) == (0, "yes\n", "no\n"), keys
            assert not result.truncated
        found = await asyncio.gather(*(connection.run(["sleep", "0.5"]) for _ in range(6)))
        assert {one.stdout for one in found} == {""}


async def test_a_line_that_a_login_shell_refuses_says_why() -> None:
    commands = Commands()
    async with served(Far(), commands=commands) as connection:
        await connection.connect(10.0)
        commands.before = "echo this account is closed >&2; sleep 0.3; exit 1; "
        result = await connection.run(["true"], alone=True)
        assert (result.exit_code, result.stderr) == (1, "this account is closed\n")


async def test_our_own_commands_find_the_systems_tools_and_the_users_find_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho shadowed\n")
    (tmp_path / "id").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
    async with served(Far()) as connection:
        await connection.connect(10.0)
        assert (await connection.run(["id", "-u"])).stdout == "0\n"
        assert (await connection.run(["sh", "-c", "id -u"], stdin=b"x")).stdout == "0\n"
        assert (await connection.run(["id", "-u"], alone=True)).stdout == "shadowed\n"


class Closed(Far):
    """Lets nobody in."""

    def begin_auth(self, username: str) -> bool:
        return True


async def test_attempts_that_may_have_logged_in_are_counted_in_the_next_record(
    tmp_path: Path,
) -> None:
    record = tmp_path / "later/sessions"
    async with served(Far(), record=str(record)) as connection:
        for _ in range(3):
            with pytest.raises(ShutOutError, match="not ready yet"):
                await connection.connect(10.0)
        record.parent.mkdir()
        await connection.connect(10.0)
        await connection.connect(10.0)
    assert record.read_text() == "a 1 3\na 1\n"


async def test_attempts_that_cannot_have_logged_in_are_not_counted() -> None:
    async with served(Closed()) as connection:
        with pytest.raises(ShutOutError, match="does not accept our key"):
            await connection.connect(10.0)
        assert connection._broken == 0
        connection.host_key = new_pair("other").public
        with pytest.raises(ShutOutError, match="its host key is not the expected one"):
            await connection.connect(10.0)
        assert connection._broken == 0


async def test_what_the_node_answered_outlives_a_last_attempt_in_haste() -> None:
    class Later(NodeConnection):
        tries = 0

        async def connect(self, timeout: float = 15.0) -> None:
            self.tries += 1
            if self.tries == 1:
                raise ShutOutError("one: it does not accept our key (yet)", phase="connection")
            raise UnreachableError(f"one: no answer within {timeout:.0f}s", phase="connection")

    async with served(Far(), kind=Later) as connection:
        with pytest.raises(ShutOutError, match="does not accept our key"):
            await connect_until(connection, 0.5)


class Lying(Commands):
    """A root shell that the node has replaced: behind the mark it writes a word of its own."""

    def __init__(self, word: bytes) -> None:
        super().__init__()
        self._words = [b"0", b"0", word]

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.asked.append(process.command or "")
        while line := await process.stdin.readline():
            mark = re.search(rb"036([0-9a-f]{32})", line)
            assert mark is not None
            word = self._words.pop(0) if self._words else b"0"
            process.stdout.write(b"\x1e%s %s\n" % (mark[1], word))
            process.stderr.write(b"\x1e%s \n" % mark[1])
        process.exit(0)


@pytest.mark.parametrize(
    "word", [b"zero", b"-1", b"", b"0 0", b"4" * 5000, b"\xff", "\u0663".encode()]
)
async def test_a_word_behind_the_mark_that_is_no_exit_code_fails_that_command_alone(
    word: bytes,
) -> None:
    lying = Lying(word)
    async with served(Far(), commands=lying) as connection:
        await connection.connect(10.0)
        assert (await connection.run(["true"])).exit_code == 255
        assert (await connection.run(["true"])).exit_code == 0
        assert len(lying.asked) == 2


@pytest.mark.parametrize("text", ["", "ssh-ed25519 garbage", "ssh-ed25519 AAAA"])
async def test_a_host_key_on_record_that_is_none_is_an_unreachable_node(text: str) -> None:
    async with served(Far()) as connection:
        connection.host_key = text
        with pytest.raises(UnreachableError, match="the host key on record is none"):
            await connection.connect(10.0)
