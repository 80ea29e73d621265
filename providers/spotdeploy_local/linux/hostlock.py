"""A lock between the processes of one user: nobody else can take it, and no wait is without end."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spotdeploy.errors import HostError

SECONDS = 60.0
"""How long a lock is waited for. Nothing is done under one that takes so long."""
_POLL = 0.05
_LOCKS = Path("/proc/locks")


@contextmanager
def held(path: Path, seconds: float = SECONDS) -> Iterator[None]:
    """Hold the lock at `path` while the block runs; the kernel frees it when the process ends. Its
    folder is there.

    Raises HostError when the file is another user's, or when the lock is not had within `seconds`:
    then with who holds it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(f"cannot lock {path}: {error.strerror}") from error
    try:
        _make_ours(path, fd)
        _take(path, fd, time.monotonic() + seconds)
        yield
    finally:
        os.close(fd)


def holders(path: Path) -> list[int]:
    """The pids of the processes that hold a flock(2) on a file, as proc_locks(5) tells them."""
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    lines = (line.split() for line in _LOCKS.read_text().splitlines())
    return [int(words[4]) for words in lines if words[1] == "FLOCK" and words[5] == device]


def _make_ours(path: Path, fd: int) -> None:
    """Whoever may open the file may lock it: https://man7.org/linux/man-pages/man2/flock.2.html"""
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        raise HostError(
            f"cannot lock {path}: it belongs to user {status.st_uid}", hint=f"remove {path}"
        )
    os.fchmod(fd, 0o600)


def _take(path: Path, fd: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise HostError(
                    f"{path} is locked by {_described(path)}",
                    hint="wait for it, or end it; then run this again",
                ) from error
            time.sleep(_POLL)
        else:
            return


def _described(path: Path) -> str:
    found = [pid for pid in holders(path) if pid > 0]
    return " and ".join(f"process {pid} ({_command(pid)})" for pid in found) or "another process"


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return "which has ended"
    return words.decode("utf-8", "replace").strip()[:200] or "a thread of the kernel"
