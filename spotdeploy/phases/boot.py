"""Boot: wait until a node runs, has an address and takes our ssh connection."""

from __future__ import annotations

import asyncio
from typing import Final

from spotdeploy.model import Node, NodeState, Phase
from spotdeploy.phases.settle import wait_for_cloud_init, wait_for_packages
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun

GRACE: Final = 20.0


async def boot(node_run: NodeRun, liveness: Liveness) -> None:
    """Bring one node to its first connection, accepting only the host key in its user-data.

    Raises UnreachableError with the last reason when the time is up.
    """
    limit = node_run.config.timeouts.boot
    deadline = asyncio.get_running_loop().time() + limit
    async with node_run.in_phase(Phase.BOOT, limit + GRACE):
        node_run.node = node_run.connection.node = await _running(node_run.node, liveness)
        await node_run.roster.tell(node_run.node)
        left = deadline - asyncio.get_running_loop().time()
        await node_run.connect_until(max(1.0, left))
        await wait_for_cloud_init(node_run, limit)
        left = deadline - asyncio.get_running_loop().time()
        await wait_for_packages(node_run, max(1.0, left))


async def _running(node: Node, liveness: Liveness) -> Node:
    while node.state is not NodeState.RUNNING or node.address is None:
        node = await liveness.next_sight(node)
    return node
