"""The Linux system calls that Python 3.11 does not offer. Standard library only, and little of it:
every supervisor imports this."""

from __future__ import annotations

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the caller into new namespaces. Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that `fd` refers to. Raises OSError."""
    _checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(data) or None,
    )
    _checked(result, target)


def unmount(target: str) -> None:
    """Detach a mount, busy or not; one that is not there is success. Raises OSError."""
    try:
        _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), target)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
