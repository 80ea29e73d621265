"""Everything of `spotdeploy create` and `spotdeploy destroy` on AWS that needs no machine.

python bench/aws_core.py  (in a project's folder)

The config and the payload are read, offers asked for, the nodes created under the journal, listed
until all of them run, destroyed, and proven gone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from spotdeploy.cli.opening import new_registry, opened
from spotdeploy.config.load import load
from spotdeploy.cycle.runbook import list_nodes
from spotdeploy.events import Bus
from spotdeploy.model import NodeState
from spotdeploy.node import keys
from spotdeploy.phases.create import Request, create, expiry
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.plan import find_offers, read_plan, user_data
from spotdeploy.run.context import Plan, Session
from spotdeploy.state.lock import locked


async def work(session: Session, plan: Plan) -> None:
    """See that nothing exists, create, wait, destroy. Raises when that is not what happened."""
    prospects = await find_offers(session)
    before = await list_nodes(session)
    pair = keys.make(session.folder, session.deployment)
    life = session.settings.config.nodes.time_to_live
    request = Request(user_data(session, pair), plan.manifest.digest, expiry(life))
    made = await create(session, prospects.offers, request)
    await until_running(session)
    receipt = await destroy(session)
    if before or not receipt.clean or len(receipt.destroyed) != session.wanted:
        raise RuntimeError(f"{before} {made} {receipt}")


async def until_running(session: Session) -> None:
    """List the nodes until all of them run."""
    while True:
        found = await list_nodes(session)
        if sum(placed.node.state is NodeState.RUNNING for placed in found) == session.wanted:
            return
        await asyncio.sleep(1)


def main() -> None:
    """Run it as the command does, without a screen."""
    settings = load(Path("spotdeploy.toml"))
    registry = new_registry(settings)
    plan = read_plan(registry, settings)
    with (
        locked(settings.config.deployment, "bench"),
        opened(settings, registry, ("aws",), Bus()) as session,
    ):
        for location in session.locations:
            # how long EC2 may hide what was just made: a wait by the clock, not work
            type(location.provider).settle_seconds = 0.0
        asyncio.run(work(session, plan))


if __name__ == "__main__":
    main()
