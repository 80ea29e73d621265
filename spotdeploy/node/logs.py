"""The logs of nodes, read from outside a run, once or as they grow."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from spotdeploy.errors import ProviderError, RefusedError, SpotdeployError
from spotdeploy.model import Node
from spotdeploy.node import paths
from spotdeploy.node.access import NodeAccess, put_on_record
from spotdeploy.node.connection import NodeConnection
from spotdeploy.text import nearest

MOST_BYTES: Final = 1 << 20
"""Of what a log has already, at most so much is read, however long its lines are."""
LONGEST_LINE: Final = 1 << 16
"""Bytes; a longer line comes in pieces."""
PATIENCE: Final = 5.0
"""Seconds within which a node must let us in, when its log is read once."""
PAUSE: Final = 1.0
"""Seconds before the next attempt to go on reading; after each that fails, so many more..."""
LONGEST_PAUSE: Final = 5.0
"""...up to this. sshd takes many that fail for an attack, and then refuses the run's as well:
PerSourcePenalties, https://man.openbsd.org/sshd_config#PerSourcePenalties"""
CONSOLE_PAUSE: Final = 5.0
"""Seconds between two looks at a console."""

_TAIL: Final = f"""
export LC_ALL=C
size=$(stat -c %s -- "$1" 2>/dev/null) || size=0
start=$2
if [ "$start" = new ]; then
    part=$((size < {MOST_BYTES} ? size : {MOST_BYTES}))
    kept=$(tail -c "+$((size - part + 1))" -- "$1" 2>/dev/null \\
        | head -c "$part" | tail -n "$3" | wc -c)
    start=$((size - kept))
elif [ "$size" -lt "$start" ]; then
    start=0
fi
echo "$start"
if [ "$4" = follow ]; then
    exec tail -c "+$((start + 1))" -F -- "$1" 2>/dev/null
fi
[ ! -e "$1" ] || tail -c "+$((start + 1))" -- "$1" | head -c "$((size - start))"
"""
"""Gives where it begins to read, in bytes, and what is there. Arguments: the file, where to begin
or "new", how many lines if so, "once" or "follow". tail -F waits for a file that is not there."""
_KNOWN_UNIT: Final = """
export LC_ALL=C
state=$(systemctl show --property=LoadState --value -- "$1" 2>/dev/null)
[ "$state" = not-found ] || exit 0
[ -z "$(journalctl --quiet --no-pager --lines=1 --output=cat --unit="$1")" ] || exit 0
{
    systemctl list-unit-files --no-legend --no-pager --plain
    systemctl list-units --all --no-legend --no-pager --plain
} | cut -d ' ' -f 1 | sort -u | head -n 2000
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    text: str
    at: float | None = None
    """Unix seconds, where the log says when."""


class Log(ABC):
    """A log of one node, and how far it has been read."""

    @abstractmethod
    def command(self, *, follow: bool) -> Sequence[str]:
        """The command, run as root, that prints what was not read yet; with `follow` it goes on
        with what comes."""

    @abstractmethod
    def take(self, piece: bytes) -> Line | None:
        """What a line that the command printed says, if anything."""

    async def objection(self, connection: NodeConnection) -> tuple[str, Sequence[str]]:
        """Why the node has no such log, and the names of those that it has; an empty reason when it
        has. Raises UnreachableError."""
        del connection
        return "", ()


@dataclass
class DeploymentLog(Log):
    """What the payload's entry wrote."""

    lines: int
    """How many of those that are there are read, the last ones."""
    _position: int | None = None
    """In bytes; None before the first reading."""
    _beginning: bool = False
    """Whether the next line is where the reading begins."""

    def command(self, *, follow: bool) -> Sequence[str]:
        start = "new" if self._position is None else str(self._position)
        how = "follow" if follow else "once"
        self._beginning = True
        return ["sh", "-c", _TAIL, "sh", paths.DEPLOYMENT_LOG, start, str(self.lines), how]

    def take(self, piece: bytes) -> Line | None:
        if self._beginning:
            self._beginning, self._position = False, int(piece)
            return None
        self._position = (self._position or 0) + len(piece)
        text = piece.decode(errors="replace").rstrip("\r\n")
        return Line(text.rpartition("\r")[2])  # what a terminal shows of a progress bar

    async def objection(self, connection: NodeConnection) -> tuple[str, Sequence[str]]:
        there = await connection.run(["test", "-e", paths.DEPLOYMENT_LOG])
        why = f"it has no {paths.DEPLOYMENT_LOG} yet: the payload's entry has not begun"
        return ("" if there.exit_code == 0 else why), ()


class _Entry(msgspec.Struct, frozen=True):
    """One entry of a journal, as `journalctl --output=json` prints it.

    https://systemd.io/JOURNAL_EXPORT_FORMATS/#journal-json-format
    """

    cursor: str = msgspec.field(name="__CURSOR")
    moment: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    message: Any = msgspec.field(default="", name="MESSAGE")
    """Text; numbers, which are bytes, when it is not UTF-8; null when it is too long."""
    identifier: Any = msgspec.field(default="", name="SYSLOG_IDENTIFIER")
    process: Any = msgspec.field(default="", name="_PID")


@dataclass
class UnitLog(Log):
    """The journal of a unit, over all boots of the node."""

    unit: str
    lines: int
    since: float | None = None
    """Only what is not older, in seconds before now."""
    _cursor: str = ""

    def command(self, *, follow: bool) -> Sequence[str]:
        where = [f"--lines={self.lines}"]
        if self.since is not None:
            where.append(f"--since=-{self.since:g}s")
        if self._cursor:
            where = ["--lines=all", f"--after-cursor={self._cursor}"]
        return [
            *("journalctl", "--quiet", "--no-pager", "--output=json"),
            "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_PID",
            f"--unit={self.unit}",
            *where,
            *(["--follow"] if follow else []),
        ]

    def take(self, piece: bytes) -> Line | None:
        try:
            entry = msgspec.json.decode(piece, type=_Entry)
            at = int(entry.moment) / 1e6
        except (msgspec.DecodeError, ValueError):
            return None  # cut, or no entry
        self._cursor = entry.cursor
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        process = f"[{_text(entry.process)}]" if entry.process else ""
        return Line(f"{when} {_text(entry.identifier)}{process}: {_text(entry.message)}", at)

    async def objection(self, connection: NodeConnection) -> tuple[str, Sequence[str]]:
        asked = await connection.run(["sh", "-c", _KNOWN_UNIT, "sh", self.unit])
        names = asked.stdout.split()
        return (f"it has no unit {self.unit}" if names else ""), names


def _text(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(one, int) for one in value):
        return bytes(one & 0xFF for one in value).decode(errors="replace")
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return "(too long to be shown)" if value is None else str(value)


@dataclass
class Reader:
    """Reads one log of one node. It marks nothing as touched."""

    node: Node
    log: Log
    access: Callable[[], NodeAccess]
    """Raises RefusedError while the node's host key is not known."""
    console: Callable[[], Awaitable[str]] | None
    """The text of the node's console, until ssh answers; None where the provider shows none."""
    show: Callable[[Node, Line], None]
    tell: Callable[[Node, str], None]
    """Is given what is no line of the log."""
    unknown: Sequence[str] = ()
    """The names of the logs that the node has, when it has not this one."""
    lines: int = 200
    """How many of the console are shown at first."""
    _console: str = field(default="", init=False)
    _told: str = field(default="", init=False)

    async def read(self) -> bool:
        """Read it once. Gives whether the node could be asked; its console is shown if not."""
        try:
            async with self.access().connected(PATIENCE) as connection:
                await self._object(connection)
                await _pump(connection, self.log, self._show, follow=False)
        except SpotdeployError as error:
            await self._show_console(error)
            return False
        return True

    async def follow(self) -> None:
        """Read it as it grows, until cancelled; reboots and lost connections are waited for."""
        connection, reached, looked, failed = None, False, float("-inf"), 0
        try:
            while True:
                try:
                    connection = connection or self.access().connection()
                    if not connection.connected:
                        await connection.connect()
                    if not reached:
                        await self._object(connection)
                    reached, failed, self._told = True, 0, ""
                    await _pump(connection, self.log, self._show, follow=True)
                except SpotdeployError as error:
                    failed += 1
                    if reached:
                        self._tell_once("the connection was lost; it is tried again")
                    elif time.monotonic() - looked > CONSOLE_PAUSE:
                        await self._show_console(error)
                        looked = time.monotonic()
                await asyncio.sleep(min(PAUSE * max(1, failed), LONGEST_PAUSE))
        finally:
            if connection is not None:
                await put_on_record(connection)
                await connection.close()

    async def _object(self, connection: NodeConnection) -> None:
        why, self.unknown = await self.log.objection(connection)
        if why:
            near = nearest(getattr(self.log, "unit", ""), self.unknown)
            self.tell(self.node, f"{why}{f'; did you mean {near}?' if near else ''}")

    async def _show_console(self, error: SpotdeployError) -> None:
        why = error.message.removeprefix(f"{self.node.name}: ")
        if isinstance(error, RefusedError):
            why = "it is not on record here: nothing was shipped to it yet, or not from here"
        if self.console is None:
            self._tell_once(f"{why}; and provider {self.node.provider} shows no console")
            return
        try:
            text = await self.console()
        except ProviderError as problem:
            self._tell_once(f"{why}; and its console cannot be read: {problem.message}")
            return
        new = text.removeprefix(self._console)
        if not self._console:
            new = "\n".join(new.rstrip().splitlines()[-self.lines :])
        self._console = text
        self._tell_once(f"{why}; its console{':' if text.strip() else ' is empty so far'}")
        for line in new.splitlines():
            self._show(Line(line))

    def _show(self, line: Line) -> None:
        self.show(self.node, line)

    def _tell_once(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self.tell(self.node, text)


async def _pump(
    connection: NodeConnection, log: Log, show: Callable[[Line], None], *, follow: bool
) -> None:
    """Show what the log says from where it was left. Raises UnreachableError when the connection is
    cut."""
    rest = b""
    async with connection.process(log.command(follow=follow)) as process:
        while data := await process.stdout.read(LONGEST_LINE):
            *whole, rest = (rest + data).split(b"\n")
            pieces = [piece + b"\n" for piece in whole]
            if len(rest) > LONGEST_LINE:
                pieces, rest = [*pieces, rest], b""
            for line in map(log.take, pieces):
                if line is not None:
                    show(line)
    if not follow and rest and (line := log.take(rest)) is not None:
        show(line)
