"""What this host must have to boot machines, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from spotdeploy.model import Problem
from spotdeploy_local.layout import CACHE_VARIABLE, STATE_VARIABLE, Layout

APT_PACKAGES: Final = ("systemd-container", "mmdebstrap", "iproute2")
"""The Debian packages that the host needs."""
NEEDED_BYTES: Final = 700 * 1024 * 1024
MACHINE_BYTES: Final = 100 * 1024 * 1024
MACHINE_MEMORY: Final = 64 * 1024 * 1024
"""What an idle machine and a small payload take; generous, so that the host stays usable."""

_TOOLS = ("systemd-nspawn", "mmdebstrap", "ip", "nsenter")
_NAMESPACES = ("mnt", "net", "pid", "uts", "ipc", "cgroup")


def problems(layout: Layout, *, has_image: bool, uid: int | None = None) -> Sequence[Problem]:
    """Everything that would stop a start, fatal ones first. Changes nothing."""
    if not sys.platform.startswith("linux"):
        return [Problem("machines boot on Linux only", "run spotdeploy on a Linux host")]
    found = [
        *_root(os.geteuid() if uid is None else uid),
        *missing_tools(shutil.which),
        *_kernel(),
        *_space(layout.state, MACHINE_BYTES, STATE_VARIABLE),
    ]
    if not has_image:
        found += _space(layout.cache, NEEDED_BYTES, CACHE_VARIABLE)
    return found


def missing_tools(which: Callable[[str], str | None]) -> list[Problem]:
    """The programs that `which` does not find, as one problem."""
    missing = [tool for tool in _TOOLS if not which(tool)]
    if not missing:
        return []
    remedy = f"apt-get install --no-install-recommends {' '.join(APT_PACKAGES)}"
    return [Problem(f"missing on this host: {', '.join(missing)}", remedy)]


def room() -> int:
    """How many more machines this host has memory for."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return kibibytes * 1024 // MACHINE_MEMORY


def _root(uid: int) -> list[Problem]:
    if uid == 0:
        return []
    return [Problem(f"uid {uid} may not boot machines: root is needed", "sudo spotdeploy ...")]


def _kernel() -> list[Problem]:
    missing = [name for name in _NAMESPACES if not Path("/proc/self/ns", name).exists()]
    found = [
        Problem(f"the kernel has no {name} namespaces", "use another kernel") for name in missing
    ]
    if "overlay" not in Path("/proc/filesystems").read_text() and not shutil.which("modprobe"):
        found.append(Problem("the kernel has no overlay file system", "modprobe overlay"))
    return found


def _space(folder: Path, needed: int, variable: str) -> list[Problem]:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free >= needed:
        return []
    return [
        Problem(
            f"{folder} has {free >> 20} MiB free, {needed >> 20} MiB are needed",
            f"free some space, or set {variable} to a folder on another disk",
        )
    ]
