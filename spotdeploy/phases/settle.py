"""Waiting until a booted node has settled: cloud-init done, systemd's jobs finished."""

from __future__ import annotations

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
