"""Commands on a node, over one ssh connection: bounded in output and in time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncssh

from spotdeploy.check import CommandResult

SUDO: Final = "/usr/bin/sudo -n --"
TOOLS: Final = "/usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin"
"""The system's own tools. sudo's secure_path often has /usr/local before them, where a payload puts
what it likes: https://www.sudo.ws/docs/man/sudoers.man/#secure_path"""
OUTPUT_LIMIT: Final = 1 << 20
GRACE: Final = 3.0
"""Seconds after its time by which a command must be gone; then it is left behind."""
CLOSING: Final = 1.0
"""Seconds that the other side has to close a channel. sshd closes none while its process lives,
and a process that waits for a dead disk outlives everything."""
SHORTEST: Final = 0.01
"""In seconds; a limit of 0 would be none."""
TIMED_OUT: Final = 124
LOST: Final = 255
"""The exit code of a command that did not live to tell one."""
_ENDED: Final = (TIMED_OUT, 137, -9)
"""How coreutils' `timeout` exits when the time was up; the last two when it had to kill."""


def limited(command: Sequence[str], seconds: float) -> list[str]:
    """The command, ended by the node itself when its time is up: closing the channel does not end
    it, and each one that hangs keeps one of the few sessions that sshd allows a connection."""
    return ["/usr/bin/timeout", "--kill-after=1", f"{max(seconds, SHORTEST):g}", *command]


async def execute(
    ssh: asyncssh.SSHClientConnection, line: str, timeout: float, stdin: bytes
) -> CommandResult:
    """Run a line of the node's shell and wait for it, for `timeout` and `GRACE` seconds. What the
    shell says before the line, of a .bashrc for example, is left out.

    Raises asyncssh.Error and OSError when the connection is cut.
    """
    out, err = bytearray(), bytearray()
    mark = secrets.token_hex(16)
    begin = f"\x1e{mark}\n".encode()
    line = f"printf '\\036{mark}\\n'; printf '\\036{mark}\\n' >&2; exec {line}"
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(timeout + GRACE), started(ssh, line) as process:
            await asyncio.gather(
                read_bounded(process.stdout, out, begin),
                read_bounded(process.stderr, err, begin),
                _feed(process.stdin, stdin),
            )
            code = (await process.wait()).returncode
    except TimeoutError:
        code = TIMED_OUT
    return concluded(code, out, err, took=clock() - began, timeout=timeout)


def concluded(
    code: int | None, out: bytearray, err: bytearray, *, took: float, timeout: float
) -> CommandResult:
    """What a command gave that took so many seconds."""
    if code in _ENDED and took >= timeout:
        code = TIMED_OUT
        err[:0] = f"no end within {timeout:g}s".encode() + (b"\n" if err else b"")
    return CommandResult(
        exit_code=code if code is not None else LOST,
        stdout=out.decode(errors="replace"),
        stderr=err.decode(errors="replace"),
        truncated=max(len(out), len(err)) >= OUTPUT_LIMIT,
    )


@asynccontextmanager
async def started(
    ssh: asyncssh.SSHClientConnection, line: str
) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
    """A process whose channel is closed at the end; nobody waits for that for longer than
    `CLOSING`, whatever the process does."""
    process = await ssh.create_process(line, encoding=None)
    try:
        yield process
    finally:
        process.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await process.wait_closed()


async def _feed(stream: asyncssh.SSHWriter[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        await stream.drain()
        stream.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        return  # the command ended without reading it all; its exit code tells


async def read_bounded(
    stream: asyncssh.SSHReader[bytes], kept: bytearray, begin: bytes = b""
) -> None:
    """Read a stream to its end, and keep the first `OUTPUT_LIMIT` bytes of what comes after
    `begin`; of what comes without it, the end."""
    begun = not begin
    while data := await stream.read(65536):
        kept += data[: OUTPUT_LIMIT - len(kept)] if begun else data
        if not begun and (at := kept.find(begin)) >= 0:
            begun = True
            del kept[: at + len(begin)]
        elif not begun:
            del kept[:-OUTPUT_LIMIT]
