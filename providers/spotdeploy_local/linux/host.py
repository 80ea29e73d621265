"""What this host must have to boot machines, and how to get what is missing."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from spotdeploy.errors import HostError
from spotdeploy.model import Problem
from spotdeploy_local.layout import CACHE_VARIABLE, STATE_VARIABLE, Layout
from spotdeploy_local.linux.cgroups import hierarchies

APT_PACKAGES: Final = ("systemd-container", "mmdebstrap", "iproute2")
"""The Debian packages that the host needs."""
INSTALL_NFT: Final = "apt-get install --no-install-recommends nftables"
IMAGE_BYTES: Final = 700 * 1024 * 1024
MACHINE_BYTES: Final = 100 * 1024 * 1024
MACHINE_MEMORY: Final = 64 * 1024 * 1024
"""What an idle machine and a small payload take; generous, so that the host stays usable."""

INOTIFY: Final = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES: Final = 8192
"""How many root should be allowed: each systemd takes four, and a kernel's default of 128 makes
the thirtieth machine of a host hang in the middle of its boot."""

_TOOLS = ("systemd-nspawn", "mmdebstrap", "ip", "nsenter")
_CAP_SYS_ADMIN = 1 << 21
_NAMESPACES = ("mnt", "net", "pid", "uts", "ipc", "cgroup")


def problems(layout: Layout, *, has_image: bool) -> Sequence[Problem]:
    """Everything that would stop a start, the first to be solved first. Changes nothing."""
    if not sys.platform.startswith("linux"):
        return [Problem("machines boot on Linux only", "run spotdeploy on a Linux host")]
    mountinfo = Path("/proc/self/mountinfo").read_text()
    found = [
        *missing_rights(os.geteuid(), Path("/proc/self/status").read_text()),
        *missing_tools(shutil.which),
        *_missing_kernel_parts(mountinfo),
        *unfit_disk(layout.state, mountinfo),
        *_missing_space(layout.state, MACHINE_BYTES, STATE_VARIABLE),
        *low_limit(INOTIFY),
    ]
    if not has_image:
        found += _missing_space(layout.cache, IMAGE_BYTES, CACHE_VARIABLE)
    return found


def room() -> int:
    """How many more machines this host has memory for."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return kibibytes * 1024 // MACHINE_MEMORY


def raise_limit(file: Path = INOTIFY) -> None:
    """Let many machines boot, until this host's next boot; where that is forbidden, `problems`
    has a warning."""
    if int(file.read_text()) < INOTIFY_INSTANCES:
        with suppress(OSError):
            file.write_text(str(INOTIFY_INSTANCES))


def low_limit(file: Path) -> list[Problem]:
    """A warning, when a limit of the kernel is low and cannot be raised from here."""
    limit = int(file.read_text())
    if limit >= INOTIFY_INSTANCES or os.access(file, os.W_OK):
        return []
    what = f"only {limit} inotify instances are allowed: about {limit // 5} machines can boot"
    remedy = f"on the host: sysctl -w fs.inotify.max_user_instances={INOTIFY_INSTANCES}"
    return [Problem(what, remedy, fatal=False)]


def missing_rights(uid: int, status: str) -> list[Problem]:
    """What this process may not do. `status` is the text of `/proc/self/status`."""
    if uid != 0:
        return [Problem(f"uid {uid} may not boot machines: root is needed", "use sudo")]
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if int(line.split()[1], 16) & _CAP_SYS_ADMIN:
        return []
    return [
        Problem(
            "root lacks CAP_SYS_ADMIN here, as in an unprivileged container",
            "run on the host itself, or in a container started with --privileged",
        )
    ]


def missing_tools(which: Callable[[str], str | None]) -> list[Problem]:
    """The programs that `which` does not find, as one problem."""
    missing = [tool for tool in _TOOLS if not which(tool)]
    if not missing:
        return []
    remedy = f"apt-get install --no-install-recommends {' '.join(APT_PACKAGES)}"
    return [Problem(f"missing on this host: {', '.join(missing)}", remedy)]


def missing_filter(which: Callable[[str], str | None]) -> list[Problem]:
    """What opens ports between machines, as a problem when `which` does not find it."""
    if which("nft"):
        return []
    return [Problem("nft, which opens ports between nodes, is missing on this host", INSTALL_NFT)]


def unfit_disk(folder: Path, mountinfo: str) -> list[Problem]:
    """A machine's disk is an overlay, and cannot lie on another overlay (as in a container)."""
    device = existing(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == number and after.startswith("overlay "):
            return [
                Problem(
                    f"{folder} is on an overlay file system, which cannot hold machines",
                    f"set {STATE_VARIABLE} to a folder on a disk, such as a container's volume",
                )
            ]
    return []


@contextmanager
def explain_full_disk(folder: Path, variable: str) -> Iterator[None]:
    """Turn "no space left" below `folder` into HostError; `variable` can name another folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise HostError(
            f"the disk under {folder} is full",
            hint=f"free some space, or set {variable} to a folder on another disk",
        ) from error


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _missing_kernel_parts(mountinfo: str) -> list[Problem]:
    parts = [f"{n} namespaces" for n in _NAMESPACES if not Path("/proc/self/ns", n).exists()]
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        parts += [] if shutil.which("modprobe") else ["overlay file system"]
    roots = [tree.root for tree in hierarchies(mountinfo)]
    if not roots or not all(os.access(root, os.W_OK) for root in roots):
        parts.append("writable control groups")
    remedy = "use a host whose kernel has them"
    return [Problem(f"the kernel offers no {part} here", remedy) for part in parts]


def _missing_space(folder: Path, needed: int, variable: str) -> list[Problem]:
    free = shutil.disk_usage(existing(folder)).free
    if free >= needed:
        return []
    return [
        Problem(
            f"{folder} has {free >> 20} MiB free, {needed >> 20} MiB are needed",
            f"free some space, or set {variable} to a folder on another disk",
        )
    ]
