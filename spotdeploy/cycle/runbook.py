"""The runbook: destroy, create, verify, and end with a verdict."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final

from spotdeploy.cycle.budget import Budget, BudgetError, check_budget, within_budget
from spotdeploy.cycle.groups import GroupsRunner
from spotdeploy.cycle.policy import Progress, conclude, end_by_policy, end_group
from spotdeploy.cycle.runner import NodeRunner, Pipeline, allow_files, sharing
from spotdeploy.errors import HostError, NodeError, ProviderError, RefusedError
from spotdeploy.events import NodeListed, Note
from spotdeploy.labels import RUN, group_of
from spotdeploy.model import Node, Phase, Verdict
from spotdeploy.node import keys
from spotdeploy.phases.boot import boot
from spotdeploy.phases.claim import claimed
from spotdeploy.phases.deploy import deploy
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.plan import Prospects, find_offers
from spotdeploy.phases.reboot import log_in_again, reboot
from spotdeploy.phases.ship import changed_here, ship
from spotdeploy.phases.verify import connect, verify
from spotdeploy.run.cancellation import clear_cancellation, finish_despite_cancel
from spotdeploy.run.context import Run
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.location import list_nodes
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.trace import contained
from spotdeploy.run.verdict import Outcome, Receipt
from spotdeploy.text import counted

LAST_LOOK_SECONDS: Final = 2.0
"""How long a stopped run's nodes live on for evidence, which a healthy node gives within a second.
What takes longer is brought back while they end."""


async def run_cycle(run: Run, *, wait: bool = False, budget: Budget | None = None) -> Outcome:
    """Destroy what is there, create fresh nodes, deploy, reboot, verify; then keep or destroy.

    With `wait`, a run on another computer is waited for. `budget` is that of several runs together,
    where there is one. Raises SpotdeployError for what was refused before anything was made.
    """
    allow_files(run.desired)
    prospects = await find_offers(run)
    check_budget(run, prospects, budget)
    run = run.within(prospects.usable)
    async with claimed(run, "cycle", wait=wait):
        before, stopped = await finish_despite_cancel(destroy(run, before_create=True))
        if stopped or not before.clean:
            return conclude(run, Progress(receipts=[before], stopped=stopped))
        return await _make(run, prospects, _through_verify, [before], budget)


async def run_create(run: Run, *, wait: bool = False, budget: Budget | None = None) -> Outcome:
    """Create, deploy and reboot fresh nodes. Refuses while nodes of the deployment exist; `wait`
    and `budget` as in `run_cycle`."""
    allow_files(run.desired)
    prospects = await find_offers(run)
    check_budget(run, prospects, budget)
    run = run.within(prospects.usable)
    async with claimed(run, "create", wait=wait):
        existing = await _existing(run)
        if existing:
            exist = "exists" if len(existing) == 1 else "exist"
            raise RefusedError(
                f"{counted(len(existing), 'node')} of {run.deployment} {exist}: "
                f"{', '.join(node.name for node in existing)}",
                hint="run 'spotdeploy destroy' first, or 'spotdeploy cycle' for both",
            )
        return await _make(run, prospects, _through_reboot, [], budget)


async def run_verify(run: Run) -> Outcome:
    """Run the checks on the nodes that exist. Changes nothing on them and destroys nothing."""
    nodes = await _existing(run)
    if not nodes:
        raise RefusedError(f"no nodes of {run.deployment} exist", hint="run 'spotdeploy cycle'")
    for node in nodes:
        run.bus.emit(
            NodeListed(
                node=node.id,
                name=node.name,
                provider=node.provider,
                location=node.location,
                group=group_of(node.labels),
            )
        )
    of_group = {
        group.group: [n for n in nodes if group_of(n.labels) == group.group] for group in run.groups
    }
    for node in nodes:
        run.project.group_of(node)  # refused where the config knows its group no more
    pair = keys.read(run.project.keys_folder, run.deployment)
    progress = Progress(kept=list(nodes))
    try:
        async with sharing(run, pair, progress.partings) as shared:
            runners = [NodeRunner(g, shared, _just_verify, fresh=False) for g in run.groups]
            outcomes = await asyncio.gather(
                *(runner.run_nodes(of_group[runner.run.group]) for runner in runners)
            )
    finally:
        await asyncio.gather(*progress.partings)
    progress.nodes = tuple(itertools.chain(*outcomes))
    desired = {g.group: max(g.desired, len(of_group[g.group])) for g in run.groups}
    for group in run.groups:
        end_group(group, progress, desired[group.group])
    return conclude(run, progress, desired=desired)


async def run_destroy(run: Run, *, wait: bool = False) -> Outcome:
    """Destroy everything of the deployment and prove it; `wait` as in `run_cycle`."""
    async with claimed(run, "destroy", wait=wait):
        receipt, stopped = await finish_despite_cancel(destroy(run))
    return conclude(run, Progress(receipts=[receipt], stopped=stopped), desired={})


async def _existing(run: Run) -> list[Node]:
    return await contained(run, list_nodes(run.all_locations, run.scope), "listing the nodes")


async def _make(
    run: Run,
    prospects: Prospects,
    pipeline: Pipeline,
    receipts: Sequence[Receipt],
    budget: Budget | None,
) -> Outcome:
    """Create nodes and take them through the pipeline; whatever happens, end by policy.

    Raises HostError when this computer lacks something and nothing was changed.
    """
    progress = Progress(receipts=list(receipts))
    refusal: HostError | None = None
    try:
        work = _create_and_run(run, prospects, pipeline, progress)
        await within_budget(run, work, budget=budget)
    except ProviderError as error:
        progress.trouble = error.explained
        progress.over_budget = isinstance(error, BudgetError)
    except HostError as error:
        progress.trouble, refusal = error.message, error
    except asyncio.CancelledError:
        progress.stopped = True
        clear_cancellation()
        if progress.partings:
            last_look = asyncio.wait(progress.partings, timeout=LAST_LOOK_SECONDS)
            await finish_despite_cancel(last_look)
    except BaseException:
        await finish_despite_cancel(end_by_policy(run, progress))
        raise
    _, stopped = await finish_despite_cancel(end_by_policy(run, progress))
    progress.stopped |= stopped
    await finish_despite_cancel(asyncio.gather(*progress.partings))
    if refusal and not progress.changed:
        raise refusal
    return conclude(run, progress)


async def _create_and_run(
    run: Run, prospects: Prospects, pipeline: Pipeline, progress: Progress
) -> None:
    pair = keys.make(run.project.keys_folder, run.deployment)
    async with sharing(run, pair, progress.partings) as shared:
        await GroupsRunner(run, prospects.offers, pipeline, shared, progress).deploy()
    for group in run.groups:
        await _tell_changes(group, progress)


async def _tell_changes(run: Run, progress: Progress) -> None:
    """Warn when the tree is not what the verdict is about any more, unless a node's failure did."""
    mine = [outcome for outcome in progress.nodes if outcome.group == run.group]
    changed = await asyncio.to_thread(changed_here, run) if mine else ""
    if changed and not any(changed in outcome.message for outcome in mine):
        text = f"{run.named}the payload changed on this computer after the plan was made: {changed}"
        run.bus.emit(Note(text=text, warning=True))


async def _through_reboot(node_run: NodeRun, liveness: Liveness) -> None:
    await boot(node_run, liveness)
    await ship(node_run)
    await deploy(node_run)
    if node_run.config.payload.reboot:
        await reboot(node_run)
    else:
        await log_in_again(node_run)


async def _through_verify(node_run: NodeRun, liveness: Liveness) -> None:
    await _through_reboot(node_run, liveness)
    await verify(node_run)


async def _just_verify(node_run: NodeRun, _: Liveness) -> None:
    async with node_run.in_phase(Phase.CONNECT, node_run.config.timeouts.boot):
        await connect(node_run)
    await verify(node_run)
    _require_never_failed(node_run)


def _require_never_failed(node_run: NodeRun) -> None:
    """A node that failed and was kept to be looked at is as it was then, whatever its checks say
    now. Raises NodeError."""
    node, verdict = node_run.node, node_run.run.journal.failure(node_run.node)
    if not verdict:
        return
    message = (
        f"it failed in run {node.labels.get(RUN, '?')} and was kept to be looked at, so it passes "
        "no more; 'spotdeploy cycle' replaces it"
    )
    if verdict == Verdict.PAYLOAD_FAILED:
        raise node_run.blame_payload(message)
    raise NodeError(f"{node.name}: {message}", phase=node_run.phase)
