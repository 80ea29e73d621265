"""A lock that is held exactly as long as its process lives, and that names the process.

POSIX record locks are never inherited and the kernel drops them at the holder's death, however it
dies; F_GETLK gives the holder's pid in the asker's own pid namespace. Every supervisor imports
this, so it stays small.
"""

from __future__ import annotations

import fcntl
import os
import struct

# struct flock of fcntl(2) on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = struct.Struct("@hhqqi4x")


def take(path: str) -> bool:
    """Hold the lock at `path` until this process ends; False when another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    return True


def holder(path: str) -> int | None:
    """The pid of the process that holds the lock at `path`, or None. Never blocks."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    finally:
        os.close(fd)
    return None if kind == fcntl.F_UNLCK else int(pid)
