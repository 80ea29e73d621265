"""Boot: wait until a node runs, has an address and takes our ssh connection."""

from __future__ import annotations

import asyncio
from typing import Final

from spotdeploy.model import Node, NodeState
from spotdeploy.node.connection import connect_until
from spotdeploy.phases.settle import wait_for_cloud_init
from spotdeploy.run.liveness import Watch
from spotdeploy.run.node_run import NodeRun

GRACE: Final = 20.0


async def boot(run: NodeRun, watch: Watch) -> None:
    """Bring one node to its first connection, accepting only the host key in its user-data.

    Raises UnreachableError with the last reason when the time is up.
    """
    limit = run.session.settings.config.timeouts.boot
    deadline = asyncio.get_running_loop().time() + limit
    async with run.in_phase("boot", limit + GRACE):
        run.node = run.connection.node = await _running(run.node, watch)
        left = deadline - asyncio.get_running_loop().time()
        await connect_until(run.connection, max(1.0, left))
        await wait_for_cloud_init(run, limit)


async def _running(node: Node, watch: Watch) -> Node:
    while node.state is not NodeState.RUNNING or node.address is None:
        node = await watch.next_sight(node)
    return node
