"""Root shells on a node, each one channel, that run one command after another.

A channel of its own costs a command a login shell and a sudo on the node, several times what most
commands cost themselves. A shell writes a mark after each command's output and error output: what
comes before the mark is that command's. A shell in which something speaks after the mark is given
up; for commands that may leave such things running, see `Connection.run`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import socket as sockets
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncssh

from spotdeploy.check import CommandResult
from spotdeploy.node.exec import GRACE, LOST, OUTPUT_LIMIT, TIMED_OUT, concluded, limited

SHELLS: Final = 8
"""Of one node, at most."""
PATIENCE: Final = 4
"""When none became free in so many times what opening the first took, one more is opened."""
LEAST_PATIENCE: Final = 0.1
"""Seconds."""
FAR: Final = 0.02
"""Seconds of a round trip from which on commands wait for the network more than for the node."""
FAR_SHELLS: Final = 3
"""With so many, a dozen commands take one round trip more than with a channel for each."""
_RTT_OFFSET: Final = 68
"""Of `tcpi_rtt` in `struct tcp_info`, <linux/tcp.h>: 8 bytes, then 15 numbers of 4 before it."""
_DIGITS: Final = 3
_CODE: Final = re.compile(rb"[0-9]{1,3}")
"""An exit code behind the mark; what is something else was not written by the shell."""


class ShellEndedError(Exception):
    """The shell is gone; its text is what it said last."""


class Shell(asyncssh.SSHClientSession[bytes]):
    """One shell. Ask it one thing at a time."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._streams = {
            kind: _Stream(self._mark) for kind in (None, asyncssh.EXTENDED_DATA_STDERR)
        }
        self._answered: asyncio.Future[None] | None = None
        self.ended = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._streams[datatype].receive(data)
        if self._answered is None:
            return  # what the login shell says before the first question is part of no answer
        if self._answered.done():
            self.close()
        elif all(stream.complete for stream in self._streams.values()):
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ShellEndedError(self.message))

    async def ask(self, line: str) -> int:
        """Run one line of shell, its standard input empty, and wait for its exit code.

        Raises ShellEndedError, or asyncssh's error when the connection was lost.
        """
        if self.ended:
            raise ShellEndedError("the shell has ended")
        for stream in self._streams.values():
            stream.forget()
        greeting = marked(":", self._mark) if self._answered is None else ""
        self._answered = asyncio.get_running_loop().create_future()
        self._channel.write((greeting + marked(line, self._mark)).encode())
        await self._answered
        reported = self._streams[None].reported
        if any(stream.more for stream in self._streams.values()) or not _CODE.fullmatch(reported):
            self.close()
        return int(reported) if _CODE.fullmatch(reported) else LOST

    @property
    def output(self) -> tuple[bytearray, bytearray]:
        """What the present command has said, or the last: output and errors."""
        out, err = (stream.data[:OUTPUT_LIMIT] for stream in self._streams.values())
        return out, err

    @property
    def message(self) -> str:
        """What it said of errors, as text."""
        return self.output[1].decode(errors="replace")

    def close(self) -> None:
        """Give it up, whatever it runs."""
        self.ended = True
        self._channel.close()


class Shells:
    """The shells of one connection."""

    def __init__(self, more: Callable[[], Awaitable[Shell]], *, far: bool) -> None:
        """Some shells are opened as soon as commands wait for one, the others for want of
        patience."""
        self._more = more
        self._eager = FAR_SHELLS if far else 1
        self._count = 0
        self._idle: asyncio.Queue[Shell] = asyncio.Queue()
        self._patience = LEAST_PATIENCE
        self._freed = 0
        """How often a shell became free."""

    async def begin(self, line: str) -> None:
        """Open the first and have it run a line. Raises ShellEndedError when that fails."""
        clock = asyncio.get_running_loop().time
        began = clock()
        shell = await self._open()
        code = await shell.ask(line)
        self._patience = max(LEAST_PATIENCE, PATIENCE * (clock() - began))
        if code != 0:
            raise ShellEndedError(shell.message)
        self._give_back(shell)

    async def run(self, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command in the first shell that is free.

        Raises ShellEndedError when the command or somebody else ended the shell, and asyncssh's
        errors.
        """
        shell = await self._take()
        clock = asyncio.get_running_loop().time
        began, code = clock(), TIMED_OUT
        try:
            async with asyncio.timeout(timeout + GRACE):
                code = await shell.ask(shlex.join(limited(command, timeout)))
        except TimeoutError:
            shell.close()
        except BaseException:
            shell.close()
            raise
        finally:
            out, err = shell.output
            self._give_back(shell)
        return concluded(code, out, err, took=clock() - began, timeout=timeout)

    async def _take(self) -> Shell:
        while True:
            freed = self._freed
            try:
                async with asyncio.timeout(self._patience if self._count >= self._eager else 0):
                    shell = await self._idle.get()
            except TimeoutError:
                if self._freed == freed and self._count < SHELLS:
                    return await self._open()
                continue
            if not shell.ended:
                return shell
            self._count -= 1

    async def _open(self) -> Shell:
        self._count += 1
        self._freed += 1  # soon: who waits need not open one as well
        try:
            return await self._more()
        except BaseException:
            self._count -= 1
            raise

    def _give_back(self, shell: Shell) -> None:
        if shell.ended:
            self._count -= 1
        else:
            self._freed += 1
            self._idle.put_nowait(shell)


def is_far(sock: sockets.socket) -> bool:
    """Whether a connected socket leads far away, by the kernel's own measurement: that does not
    grow when this computer is busy."""
    if not hasattr(sockets, "TCP_INFO") or sock.family not in (sockets.AF_INET, sockets.AF_INET6):
        return True
    info = sock.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _RTT_OFFSET + 4)
    (microseconds,) = struct.unpack_from("I", info, _RTT_OFFSET)
    return bool(microseconds >= FAR * 1e6)


def marked(line: str, mark: str) -> str:
    """The text that makes a shell run a line and tell where what it says ends."""
    return f"{line} </dev/null; printf '\\036{mark} %d\\n' $?; printf '\\036{mark} \\n' >&2\n"


class _Stream:
    """What comes on one stream, up to the mark. Of more than the limit the beginning is kept."""

    def __init__(self, mark: str) -> None:
        self._mark = b"\x1e" + mark.encode() + b" "
        self._keep = len(self._mark) + _DIGITS
        self._greeted = False
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.data = bytearray()
        self.reported = b""
        self.complete = False
        self.more = False
        """Something came after the mark, and so from nobody who was asked."""

    def receive(self, more: bytes) -> None:
        """Take what came."""
        if self.complete:
            self.more = True
            return
        start = max(0, len(self.data) - self._keep)
        self.data += more
        at = self.data.find(self._mark, start)
        end = self.data.find(b"\n", at) if at >= 0 else -1
        if end >= 0 and not self._greeted:
            self._greeted = True
            rest = bytes(self.data[end + 1 :])
            self.data.clear()
            if rest:
                self.receive(rest)
        elif end >= 0:
            self.reported = bytes(self.data[at + len(self._mark) : end])
            self.more = end + 1 < len(self.data)
            del self.data[min(at, OUTPUT_LIMIT) :]
            self.complete = True
        elif len(self.data) > OUTPUT_LIMIT + self._keep:
            del self.data[OUTPUT_LIMIT : -self._keep]
