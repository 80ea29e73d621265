"""Everything of `spotdeploy create` and `spotdeploy destroy` on AWS that needs no machine.

python bench/aws_core.py  (in a project's folder)

The config and the payload are read, offers asked for, the nodes created under the journal, listed
until all of them run, destroyed, and proven gone.
"""

from __future__ import annotations

import asyncio

from spotdeploy.events import Bus
from spotdeploy.model import NodeState
from spotdeploy.node import keys
from spotdeploy.phases.create import batch_template, create
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.plan import find_offers, read_plan
from spotdeploy.project import Project
from spotdeploy.run.context import Run, open_run
from spotdeploy.run.location import list_nodes
from spotdeploy.state.lock import locked


async def work(run: Run) -> None:
    """See that nothing exists, create, wait, destroy. Raises when that is not what happened."""
    prospects = await find_offers(run)
    before = await list_nodes(run.all_locations, run.scope)
    pair = keys.make(run.project.keys_folder, run.deployment)
    made = await create(run, prospects.offers, batch_template(run, pair))
    await until_running(run)
    receipt = await destroy(run)
    if before or not receipt.clean or len(receipt.destroyed) != run.desired:
        raise RuntimeError(f"{before} {made} {receipt}")


async def until_running(run: Run) -> None:
    """List the nodes until all of them run."""
    while True:
        found = await list_nodes(run.all_locations, run.scope)
        if sum(node.state is NodeState.RUNNING for node in found) == run.desired:
            return
        await asyncio.sleep(1)


def main() -> None:
    """Run it as the command does, without a screen."""
    project = Project.open(providers=["aws"])
    with (
        locked(project.deployment, "bench"),
        open_run(project, read_plan(project), Bus()) as run,
    ):
        for location in run.locations:
            # how long EC2 may hide what was just made: a wait by the clock, not work
            type(location.provider).settle_seconds = 0.0
        asyncio.run(work(run))


if __name__ == "__main__":
    main()
