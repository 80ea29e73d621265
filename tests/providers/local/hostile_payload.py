"""A payload that tries to leave its machine. It runs there as root, with that machine's Python, and
prints the names of what it managed, as JSON.

Nothing here can harm a computer that lets it: it reads a first sector, opens what it could write
to without writing, and sets the clock to what it says already.
"""

# ruff: noqa: T201

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

REFUSED = (errno.EPERM, errno.ENOSYS, errno.EACCES)
NUMBERS = {
    "x86_64": {"init_module": 175, "iopl": 172, "kexec_load": 246, "bpf": 321, "adjtimex": 159},
    "aarch64": {"init_module": 105, "kexec_load": 104, "bpf": 280, "adjtimex": 171},
}
MS_REMOUNT, MS_BIND = 32, 4096
OF_ITS_OWN_NAMESPACES = (
    "/proc/sys/net/",
    "/proc/sys/user/",
    "/proc/sys/fs/mqueue/",
    *(f"/proc/sys/kernel/{name}" for name in ("shm", "msg", "sem", "auto_msgmni")),
    *(f"/proc/sys/kernel/{name}" for name in ("hostname", "domainname", "ns_last_pid", "pid_max")),
    "/sys/fs/cgroup/",
    "/sys/devices/virtual/net/",
)
HOST_ONLY = "/var/cache/spotdeploy"
CGROUPS = ("cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "cpuset", "name=x")

libc = ctypes.CDLL(None, use_errno=True)


def mounted(kind: str, source: str = "none", data: str = "", flags: int = 0) -> Iterator[str]:
    """Where a file system is mounted for the moment; nothing when that is refused."""
    target = f"/run/try-{kind}"
    Path(target).mkdir(exist_ok=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) == 0:
        yield target
        libc.umount2(target.encode(), 2)


def opens(file: str, flags: int) -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open(file, flags | os.O_NONBLOCK | os.O_CLOEXEC))
        return True
    return False


def node(kind: int, major: int, minor: int) -> Iterator[str]:
    """A device's node, in each folder that takes one."""
    for folder in ("/root", "/dev", "/dev/shm", "/run", "/tmp"):
        file = f"{folder}/node-{kind}-{major}-{minor}"
        with contextlib.suppress(OSError):
            os.mknod(file, kind | 0o600, os.makedev(major, minor))
            yield file
            Path(file).unlink()


def disks() -> Iterator[tuple[int, int]]:
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, blocks = map(int, line.split()[:3])
        if blocks:
            yield major, minor


def sector(file: str) -> bool:
    with contextlib.suppress(OSError), Path(file).open("rb") as disk:
        return len(disk.read(512)) == 512
    return False


def mounts_a_disk() -> bool:
    nodes = (file for disk in disks() for file in node(0o060000, *disk))
    kinds = ("ext4", "xfs", "btrfs")
    return any(True for file in nodes for kind in kinds for _ in mounted(kind, file))


def writable(top: str, name: str) -> list[str]:
    """The files below a folder that can be opened for writing, under the name it usually has."""
    files = (f"{folder}/{file}" for folder, _, names in os.walk(top) for file in names)
    return [
        file
        for file in files
        if not (name + file[len(top) :]).startswith(OF_ITS_OWN_NAMESPACES)
        and not Path(file).is_symlink()
        and opens(file, os.O_WRONLY)
    ]


def trees(kind: str, name: str) -> Iterator[tuple[str, str]]:
    """The tree that is there, made writable if that can be, and a new one."""
    for target in (name, "/proc", "/sys", "/proc/sys"):
        libc.mount(b"none", target.encode(), None, MS_REMOUNT | MS_BIND, None)
    yield name, name
    for fresh in mounted(kind):
        yield fresh + name.removeprefix(f"/{kind.removesuffix('fs')}"), name


def sysctl() -> list[str]:
    return list(chain.from_iterable(writable(*tree) for tree in trees("proc", "/proc/sys")))[:5]


def sysfs() -> list[str]:
    return list(chain.from_iterable(writable(*tree) for tree in trees("sysfs", "/sys")))[:5]


def release_agent() -> bool:
    tops = chain.from_iterable(mounted("cgroup", data=name) for name in CGROUPS)
    here = (str(one) for one in Path("/sys/fs/cgroup").glob("*"))
    return any(opens(f"{top}/release_agent", os.O_WRONLY) for top in chain(tops, here))


def call(name: str, *arguments: object) -> bool:
    """True when the kernel let a system call through, even one that then made no sense."""
    number = NUMBERS[platform.machine()].get(name)
    if number is None or libc.syscall(ctypes.c_long(number), *arguments) >= 0:
        return number is not None
    return ctypes.get_errno() not in REFUSED


def sets_the_clock() -> bool:
    with contextlib.suppress(OSError):
        time.clock_settime(time.CLOCK_REALTIME, time.time())
        return True
    timex = ctypes.create_string_buffer(struct.pack("I", 0x4000) + b"\x10\x27" + bytes(400))
    return bool(libc.adjtimex(timex) >= 0)  # ADJ_TICK, of 0: not a tick that a clock can have


def host_by_handle(bind: str) -> bool:
    """Open the root folder, inode 2 of ext4, of the file system that a bind is from."""
    handle = struct.pack("=IiII", 8, 1, 2, 0)
    top = os.open(bind, os.O_RDONLY)
    found: int = libc.open_by_handle_at(top, handle, os.O_RDONLY)
    os.close(top)
    return found >= 0


def writes_to_bind(bind: str) -> bool:
    libc.mount(b"none", bind.encode(), None, MS_REMOUNT | MS_BIND, None)
    with contextlib.suppress(OSError):
        Path(bind, "from-inside").touch()
        return True
    return False


def reaches(port: int) -> list[str]:
    """The addresses at which something of the host's answers."""
    found = []
    for address in ("127.0.0.1", "10.77.0.1", "169.254.169.254", *sys.argv[3:]):
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1.0):
            found.append(address)
    return found


def other_roots() -> list[str]:
    """Processes whose root is another than this machine's, by way of /proc."""
    own = Path("/").stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            root = (process / "root/.").stat()
            if (root.st_dev, root.st_ino) != (own.st_dev, own.st_ino):
                found.append((process / "cmdline").read_text())
    return found


def below_its_root() -> bool:
    """Take away the machine's root, and see whether the host's is below it."""
    child = os.fork()
    if not child:
        libc.unshare(0x20000)
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        libc.umount2(b"/", 2)
        libc.setns(own, 0x20000)
        os._exit(Path(HOST_ONLY).exists())
    return os.waitpid(child, 0)[1] != 0


def character(major: int, minor: int, *names: str) -> bool:
    files = chain(node(0o020000, major, minor), names)
    return any(opens(file, os.O_RDONLY) for file in files)


def device_file_system() -> bool:
    return any(
        sector(str(file))
        for top in mounted("devtmpfs")
        for file in Path(top).iterdir()
        if file.is_block_device()
    )


def main() -> None:
    bind, port = sys.argv[1], int(sys.argv[2])
    attacks: dict[str, Callable[[], object]] = {
        "reads a disk": lambda: any(
            sector(file) for disk in disks() for file in node(0o060000, *disk)
        ),
        "mounts a disk": mounts_a_disk,
        "reads a disk of devtmpfs": device_file_system,
        "opens /dev/mem": lambda: character(1, 1, "/dev/mem"),
        "opens /dev/kmsg": lambda: character(1, 11, "/dev/kmsg"),
        "opens a new /proc/kmsg": lambda: any(
            opens(f"{top}/kmsg", os.O_RDONLY) for top in mounted("proc")
        ),
        "opens /dev/loop-control": lambda: character(10, 237, "/dev/loop-control"),
        "opens /dev/kvm": lambda: character(10, 232, "/dev/kvm"),
        "opens /proc/kcore": lambda: opens("/proc/kcore", os.O_RDONLY),
        "opens /proc/sysrq-trigger": lambda: opens("/proc/sysrq-trigger", os.O_WRONLY),
        "reads the kernel's log": lambda: libc.klogctl(3, ctypes.create_string_buffer(64), 64) >= 0,
        "writes sysctls": sysctl,
        "writes to sysfs": sysfs,
        "mounts debugfs": lambda: any(True for _ in mounted("debugfs")),
        "mounts tracefs": lambda: any(True for _ in mounted("tracefs")),
        "mounts securityfs": lambda: any(True for _ in mounted("securityfs")),
        "sets a release agent": release_agent,
        "loads a module": lambda: call("init_module", None, 0, b""),
        "loads a kernel": lambda: call("kexec_load", 0, 0, None, 0),
        "lists the host's BPF": lambda: call("bpf", 11, ctypes.create_string_buffer(64), 64),
        "gets at I/O ports": lambda: call("iopl", 0),
        "sets the clock": sets_the_clock,
        "opens the host's root": lambda: host_by_handle(bind),
        "writes to a read-only bind": lambda: writes_to_bind(bind),
        "reaches the host": lambda: reaches(port),
        "sees other roots": other_roots,
        "sees the host's folders": below_its_root,
    }
    results = {name: attack() for name, attack in attacks.items()}
    print(json.dumps({name: result for name, result in results.items() if result}))


if __name__ == "__main__":
    main()
