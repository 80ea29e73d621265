"""The Linux system calls that Python 3.11 does not offer. Standard library only, and little of it:
every supervisor imports this."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

# Of <linux/mount.h>; the numbers are the same for every architecture that Debian has.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = -100, 0x1000, 1, 4
_MOUNT_ATTR_IDMAP = 0x00100000
_RENAME_EXCHANGE = 2

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


def mount_shifted(source: str, target: str, user_namespace: int) -> None:
    """Mount a folder a second time, with the owners of its files as the user namespace of this
    descriptor maps them: mount_setattr(2). Raises OSError naming the source."""
    tree = _libc.syscall(
        *map(ctypes.c_long, (_OPEN_TREE, _AT_FDCWD)),
        *(os.fsencode(source), ctypes.c_long(_OPEN_TREE_CLONE | os.O_CLOEXEC)),
    )
    _checked(min(tree, 0), source)
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
        here, size = ctypes.c_long(_AT_EMPTY_PATH), ctypes.c_long(len(attributes))
        shifted = _libc.syscall(
            ctypes.c_long(_MOUNT_SETATTR), ctypes.c_long(tree), b"", here, attributes, size
        )
        _checked(shifted, source)
        moved = _libc.syscall(
            *(ctypes.c_long(_MOVE_MOUNT), ctypes.c_long(tree), b"", ctypes.c_long(_AT_FDCWD)),
            *(os.fsencode(target), ctypes.c_long(_MOVE_MOUNT_F_EMPTY_PATH)),
        )
        _checked(moved, source)
    finally:
        os.close(tree)


def change_root(folder: str) -> None:
    """Make a mounted folder the root of this mount namespace, and let go of the one before:
    pivot_root(2). The current folder becomes the new root. Raises OSError."""
    os.chdir(folder)
    _checked(_libc.pivot_root(b".", b"."), folder)
    unmount(".")


def exchange(one: str, other: str) -> None:
    """Let two files or folders take each other's name at once: renameat2(2). Raises OSError."""
    names = (os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    _checked(_libc.renameat2(_AT_FDCWD, *names, _RENAME_EXCHANGE), one)


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
