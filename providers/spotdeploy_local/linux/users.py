"""A user namespace for a machine: its root is nobody on the host. Standard library only, and little
of it: every supervisor imports this.

The namespace is made before the container, so that the machine's network can belong to it: root in
the machine may then set up addresses and packet filters there, and nothing elsewhere.
"""

# ruff: noqa: PTH123

from __future__ import annotations

import os

from spotdeploy_local.linux import syscalls

IDS = 65536
"""How many users a machine has."""
FIRST, LAST = 524288, 1879048191
"""The host's users that containers may be given: https://systemd.io/UIDS-GIDS/."""


def first_user(machine: str) -> int:
    """The host's user that a machine's root is, the same for the same id. Two machines with the
    same one, out of 28,664, are still in namespaces of their own."""
    import zlib

    return FIRST + zlib.crc32(machine.encode()) % ((LAST + 1 - FIRST) // IDS) * IDS


def make(first: int) -> tuple[int, int]:
    """A user namespace that has the host's users from `first` on, and a network namespace that
    belongs to it: descriptors of both.

    The caller has one thread, and /proc is that of its pid namespace. Raises OSError.
    """
    told, tell = os.pipe()
    waits, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.write(tell, str(_unshare()).encode())
        os.read(waits, 1)
        os._exit(0)
    try:
        if number := int(os.read(told, 16)):
            raise OSError(number, os.strerror(number), "a user namespace")
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{kind}", "w", encoding="ascii") as file:
                file.write(f"0 {first} {IDS}")
        return (
            os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC),
            os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC),
        )
    finally:
        for pipe in (told, tell, waits, end):
            os.close(pipe)
        os.waitpid(child, 0)


def _unshare() -> int:
    """Move into new namespaces; gives 0, or the number of the error."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
    except OSError as error:
        return error.errno or -1
    return 0
