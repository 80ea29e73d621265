"""A user namespace for a machine: its root is nobody on the host. Standard library only, and little
of it: every supervisor imports this.

The namespace is made before the container, so that the machine's network can belong to it: root in
the machine may then set up addresses and packet filters there, and nothing elsewhere.
"""

from __future__ import annotations

import os
import sys

from spotdeploy_local.linux import syscalls

IDS = 65536
"""How many users a machine has."""
FIRST, LAST = 524288, 1879048191
"""The host's users that containers may be given: https://systemd.io/UIDS-GIDS/."""

HOME = "/run/systemd/nspawn"
"""What systemd-nspawn writes outside of its machine is below; each machine has its own there."""

_CONTAINER = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWCGROUP
)


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


def main() -> None:
    """Try all that a machine in a user namespace needs of this host, with the two folders named on
    the command line as its image and its own. Prints what fails; nothing of it is left."""
    image, state = sys.argv[1:]
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    if child := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    try:
        _try(image, state)
    except OSError as error:
        sys.stdout.write(f"{error.filename}: {error.strerror}")


def _try(image: str, state: str) -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    user, network = make(FIRST)
    os.makedirs(HOME, exist_ok=True)
    syscalls.mount("tmpfs", HOME, "tmpfs")
    os.mkdir(f"{HOME}/image")
    syscalls.mount_shifted(image, f"{HOME}/image", user)
    syscalls.mount("overlay", HOME, "overlay", data=f"lowerdir={HOME}/image:{state}")
    syscalls.setns(network, syscalls.CLONE_NEWNET)
    syscalls.setns(user, syscalls.CLONE_NEWUSER)
    syscalls.unshare(_CONTAINER)
    syscalls.mount("sysfs", "/sys", "sysfs")
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        syscalls.mount("proc", "/proc", "proc")


def _unshare() -> int:
    """Gives 0, or the number of the error."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
    except OSError as error:
        return error.errno or -1
    return 0
