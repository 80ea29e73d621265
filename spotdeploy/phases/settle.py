"""Waiting until a booted node has settled: cloud-init, systemd's jobs and package locks."""

from __future__ import annotations

import asyncio
from typing import Final

from spotdeploy.errors import UnreachableError
from spotdeploy.events import Note
from spotdeploy.run.node_run import NodeRun
from spotdeploy.text import plain

_CLOUD_INIT: Final = (
    "command -v cloud-init >/dev/null || { echo absent; exit 0; }; cloud-init status --wait --long"
)
_SYSTEMD: Final = (
    "systemctl is-system-running --wait; systemctl list-units --failed --plain --no-legend"
)
READY_WITH_WARNINGS: Final = 2
BOOT_JOBS: Final = 60.0
"""Seconds that jobs of the boot may take before they are left alone, unless they hold packages."""
_AGAIN: Final = 1.0
# dpkg, apt and rpm lock these files by fcntl(2), which /proc/locks shows with their inodes; dnf 4
# and zypper write a pid. Between two steps the system's own upgrades hold no lock, but still run:
# https://wiki.debian.org/UnattendedUpgrades
_PACKAGES: Final = """
for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \\
        /var/cache/apt/archives/lock /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock; do
    inode=$(stat -c %i "$file" 2>/dev/null) || continue
    pid=$(sed -n "s/.* \\([0-9]*\\) [0-9a-f:]*:$inode [0-9]* .*/\\1/p" /proc/locks | head -n 1)
    [ -z "$pid" ] || echo "$file is locked by $(cat "/proc/$pid/comm" 2>/dev/null || echo "$pid")"
done
for file in /var/lib/dnf/*.pid /var/cache/dnf/*.pid /run/zypp.pid; do
    pid=$(cat "$file" 2>/dev/null) && [ -d "/proc/$pid" ] || continue
    echo "$file is held by $(cat "/proc/$pid/comm" 2>/dev/null || echo "$pid")"
done
systemctl list-units --plain --no-legend --no-pager --state=activating \\
    'apt-daily*' 'dnf-*' 'packagekit*' 'unattended-upgrades*' | sed 's/^\\([^ ]*\\).*/\\1 runs/'
"""


async def wait_for_cloud_init(node_run: NodeRun, limit: float) -> None:
    """Wait for cloud-init where there is one.

    Exit code 2 means done with recoverable errors: ready, and worth a warning
    (https://cloudinit.readthedocs.io/en/latest/explanation/return_codes.html).
    """
    result = await node_run.connection.run(["sh", "-c", _CLOUD_INIT], timeout=limit)
    message = plain(result.stdout + result.stderr, limit=400).replace("\n", "; ")
    if result.exit_code == READY_WITH_WARNINGS:
        node_run.bus.emit(
            Note(text=f"cloud-init warns: {message}", node=node_run.node.id, warning=True)
        )
    elif result.exit_code != 0:
        raise UnreachableError(
            f"{node_run.node.name}: cloud-init failed: {message}", phase=node_run.phase
        )


async def wait_for_systemd(node_run: NodeRun, limit: float) -> None:
    """Wait until systemd has no jobs left; failed units are worth a warning, checks decide."""
    result = await node_run.connection.run(["sh", "-c", _SYSTEMD], timeout=limit)
    state, _, failed = plain(result.stdout, limit=2000).partition("\n")
    if state not in ("running", "degraded"):
        message = state or result.stderr.strip()
        raise UnreachableError(
            f"{node_run.node.name}: systemd did not settle: {message}", phase=node_run.phase
        )
    if units := [line.split()[0] for line in failed.splitlines() if line.strip()]:
        node_run.bus.emit(
            Note(text=f"failed units: {', '.join(units)}", node=node_run.node.id, warning=True)
        )


async def wait_for_packages(node_run: NodeRun, limit: float) -> None:
    """Wait for `limit` seconds until the boot's own jobs leave packages alone: an entry that
    installs some would fail at their locks.

    Raises UnreachableError when they still do not: that is not the payload's failure.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit
    waiting = ["systemctl", "is-system-running", "--wait"]
    await node_run.connection.run(waiting, timeout=min(limit, BOOT_JOBS))
    told = False
    while use := await held(node_run):
        message = f"the image's own jobs use its packages: {use}"
        if clock() >= deadline:
            raise UnreachableError(
                f"{node_run.node.name}: {message}, for longer than timeouts.boot",
                phase=node_run.phase,
            )
        if not told:
            node_run.bus.emit(Note(text=f"waiting: {message}", node=node_run.node.id))
        told = True
        await asyncio.sleep(_AGAIN)


async def held(node_run: NodeRun) -> str:
    """What uses the node's packages now, in one line; empty when nothing does."""
    result = await node_run.connection.run(["sh", "-c", _PACKAGES])
    return plain(result.stdout, limit=300).replace("\n", "; ")
