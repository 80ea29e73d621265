"""A program that tries whether this host gives a machine a user namespace.

It does what a supervisor does before a boot, and what systemd-nspawn asks of the kernel then. A
version says too little: distributions, containers and file systems differ in what they allow.
"""

# ruff: noqa: PTH102, PTH103

from __future__ import annotations

import os
import sys

from spotdeploy_local.engines.nspawn.places import HOME
from spotdeploy_local.linux import syscalls, users

_CONTAINER = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWCGROUP
)


def main() -> None:
    """`trial IMAGE STATE`: with these folders in the place of the image and of the machine's own.
    Prints what fails; nothing of it is left."""
    image, state = sys.argv[1:]
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        _try(image, state)
    except OSError as error:
        sys.stdout.write(f"{error.filename}: {error.strerror}")


def _try(image: str, state: str) -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    user, network = users.make(users.FIRST)
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
