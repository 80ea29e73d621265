"""Reading logs: where it begins and goes on, what a journal says, and nodes that do not answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from spotdeploy.errors import ProviderError, RefusedError, SpotdeployError
from spotdeploy.model import Node, NodeState
from spotdeploy.node import logs, paths
from spotdeploy.node.access import NodeAccess
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.logs import DeploymentLog, Line, Log, Reader, UnitLog
from tests.ssh_server import LetsIn, served

NODE = Node("1", "shop-1", "fake", "here", NodeState.RUNNING)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that stands in for a node's deployment.log."""
    path = tmp_path / "deployment.log"
    monkeypatch.setattr(paths, "DEPLOYMENT_LOG", str(path))
    return path


def read(log: Log) -> list[str]:
    """What it says from where it was left."""
    done = subprocess.run(log.command(follow=False), capture_output=True, check=True)
    assert not done.stderr, done
    return taken(log, done.stdout)


def taken(log: Log, output: bytes) -> list[str]:
    return [line.text for piece in output.splitlines(keepends=True) if (line := log.take(piece))]


def test_the_last_lines_are_read_and_then_what_came_since(log: Path) -> None:
    log.write_text("one\ntwo\nthree\n")
    reading = DeploymentLog(2)
    assert read(reading) == ["two", "three"]
    with log.open("a") as file:
        file.write("four\nfi")
    assert read(reading) == ["four", "fi"]
    assert read(reading) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("no end", ["no end"]),
        ("\n\n", ["", ""]),
        ("10%\r50%\r100%\nwindows\r\n", ["100%", "windows"]),
        ("\xff\n", ["\ufffd"]),
    ],
)
def test_odd_logs_are_read(log: Path, text: str, lines: list[str]) -> None:
    log.write_bytes(text.encode("latin-1"))
    assert taken_in_lines(DeploymentLog(9)) == lines


def taken_in_lines(log: Log) -> list[str]:
    """As the connection cuts it: at line feeds alone."""
    output = subprocess.run(log.command(follow=False), capture_output=True, check=True).stdout
    pieces = [piece + b"\n" for piece in output.split(b"\n")]
    last = pieces.pop().removesuffix(b"\n")
    return [line.text for one in [*pieces, last] if one and (line := log.take(one))]


def test_a_log_that_is_not_there_has_no_lines_and_one_that_began_anew_is_read_whole(
    log: Path,
) -> None:
    reading = DeploymentLog(5)
    assert read(reading) == []
    log.write_text("first of the old\nsecond of the old\n")
    assert read(reading) == ["first of the old", "second of the old"]
    log.write_text("new\n")
    assert read(reading) == ["new"]


def test_no_lines_are_read_of_what_was_there_when_none_are_asked_for(log: Path) -> None:
    log.write_text("old\n")
    reading = DeploymentLog(0)
    assert read(reading) == []
    with log.open("a") as file:
        file.write("new\n")
    assert read(reading) == ["new"]


def test_of_endless_lines_a_bounded_end_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(b"x" * (3 * logs.MOST_BYTES) + b"\nend\n")
    first, last = read(DeploymentLog(200))
    assert last == "end"
    assert len(first) < logs.MOST_BYTES


def entry(**fields: object) -> bytes:
    known = {"__CURSOR": "s=1;i=7", "__REALTIME_TIMESTAMP": "1700000000250000"}
    return json.dumps({**known, **fields}).encode() + b"\n"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"MESSAGE": "up", "SYSLOG_IDENTIFIER": "app", "_PID": "7"}, "app[7]: up"),
        ({"MESSAGE": "up", "SYSLOG_IDENTIFIER": "app"}, "app: up"),
        ({"MESSAGE": [104, 105, 255], "SYSLOG_IDENTIFIER": "app"}, "app: hi\ufffd"),
        ({"MESSAGE": None, "SYSLOG_IDENTIFIER": "app"}, "app: (too long to be shown)"),
        ({"MESSAGE": ["a", "b"], "SYSLOG_IDENTIFIER": ["x", "y"]}, "x y: a b"),
        ({}, ": "),
    ],
)
def test_an_entry_of_a_journal_becomes_a_line(fields: dict[str, object], text: str) -> None:
    line = UnitLog("app", 5).take(entry(**fields))
    assert line == Line(f"2023-11-14T22:13:20Z {text}", 1700000000.25)


@pytest.mark.parametrize("piece", [b"", b"\n", b"-- No entries --\n", b"{}", b"[1]", b'{"a":'])
def test_what_is_no_entry_says_nothing(piece: bytes) -> None:
    assert UnitLog("app", 5).take(piece) is None


def test_a_journal_goes_on_behind_the_last_entry_that_was_read() -> None:
    log = UnitLog("app", 5, 300.0)
    assert {"--lines=5", "--since=-300s", "--unit=app"} <= set(log.command(follow=False))
    log.take(entry())
    again = log.command(follow=True)
    assert {"--lines=all", "--after-cursor=s=1;i=7", "--follow"} <= set(again)
    assert not [word for word in again if word.startswith("--since")]


class Ears:
    """Remembers what a reader shows and tells."""

    def __init__(
        self, error: SpotdeployError, console: Callable[[], Awaitable[str]] | None
    ) -> None:
        self.shown: list[str] = []
        self.told: list[str] = []

        def access() -> NodeAccess:
            raise error

        self.reader = Reader(
            NODE,
            DeploymentLog(5),
            access,
            console,
            lambda _, line: self.shown.append(line.text),
            lambda _, text: self.told.append(text),
            lines=2,
        )


NO_KEY = RefusedError("the host key of shop-1 is not known here")


async def test_until_ssh_answers_the_console_is_shown_each_line_once() -> None:
    texts = iter(["a\nb\nc\n", "a\nb\nc\nd\n", "other\n"])

    async def console() -> str:
        return next(texts)

    ears = Ears(NO_KEY, console)
    assert [await ears.reader.read() for _ in range(3)] == [False] * 3
    assert ears.shown == ["b", "c", "d", "other"]
    assert len(ears.told) == 1
    assert ears.told[0].endswith("; its console:")


async def test_a_provider_without_a_console_is_told_in_a_sentence_once() -> None:
    ears = Ears(NO_KEY, None)
    assert [await ears.reader.read() for _ in range(2)] == [False] * 2
    assert ears.shown == []
    (told,) = ears.told
    assert told.endswith("; and provider fake shows no console")


async def test_a_console_that_cannot_be_read_is_told() -> None:
    async def console() -> str:
        raise ProviderError("the cloud is out")

    ears = Ears(NO_KEY, console)
    assert not await ears.reader.read()
    assert ears.told[0].endswith("; and its console cannot be read: the cloud is out")


class Shown:
    """The lines that came, and a way to wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._come = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, node: Node, line: Line) -> None:
        self.lines.append(line.text)
        task = asyncio.create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._come:
            self._come.notify_all()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(20), self._come:
            await self._come.wait_for(lambda: text in self.lines)


async def test_following_goes_on_where_a_cut_connection_left_it(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PAUSE", 0.05)
    log.write_text("one\ntwo\n")
    shown, told, record = Shown(), list[str](), tmp_path / "sessions"
    async with served(LetsIn(), record=str(record)) as connection:

        class Access:
            """Of the one connection there is."""

            def connection(self) -> NodeConnection:
                return connection

        reader = Reader(
            NODE,
            DeploymentLog(1),
            lambda: cast("NodeAccess", Access()),
            None,
            shown.show,
            lambda _, text: told.append(text),
        )
        following = asyncio.create_task(reader.follow())
        await shown.until("two")
        with log.open("a") as file:
            file.write("three\nfo")
        await shown.until("three")
        assert connection._ssh is not None
        connection._ssh.abort()
        with log.open("a") as file:
            file.write("ur\n")
        await shown.until("four")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert not connection.connected
    assert shown.lines == ["two", "three", "four"]
    assert len(told) <= 1  # whether the cut is seen as one, or as the end of the command
    assert record.read_text() == "a 1\na 1\n"
