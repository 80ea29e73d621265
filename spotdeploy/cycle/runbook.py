"""The runbook: destroy, create, verify, and end with a verdict."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from spotdeploy.config.schema import Keep
from spotdeploy.cycle.budget import check_budget, within_budget
from spotdeploy.cycle.runner import NodeRunner, Pipeline, allow_files
from spotdeploy.errors import HostError, ProviderError, RefusedError
from spotdeploy.events import NodeListed, Note
from spotdeploy.model import Node, NodeState, Offer
from spotdeploy.node import keys
from spotdeploy.node.connection import connect_until
from spotdeploy.phases.boot import boot
from spotdeploy.phases.create import Placed, Request, create, expiry, replace_node
from spotdeploy.phases.deploy import deploy
from spotdeploy.phases.destroy import destroy, destroy_nodes
from spotdeploy.phases.plan import Prospects, find_offers, user_data
from spotdeploy.phases.reboot import reboot
from spotdeploy.phases.ship import ship
from spotdeploy.phases.verify import verify
from spotdeploy.run.cancellation import clear_cancellation, finish_despite_cancel
from spotdeploy.run.context import Plan, Session
from spotdeploy.run.liveness import Watch
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.verdict import NodeOutcome, Outcome, Receipt, Refusal, Verdict, judge

REPLACEMENT_TOKENS = 1_000


async def run_cycle(session: Session, plan: Plan, keep: Keep) -> Outcome:
    """Destroy what is there, create fresh nodes, deploy, reboot, verify; then keep or destroy.

    Raises SpotdeployError for what was refused before anything was made.
    """
    allow_files(session.desired)
    prospects = await find_offers(session)
    check_budget(session, prospects)
    before, stopped = await finish_despite_cancel(destroy(session))
    if stopped or not before.clean:
        return conclude(session, _Progress(receipts=[before], stopped=stopped))
    return await _make(session, plan, prospects, keep, _through_verify, [before])


async def run_create(session: Session, plan: Plan, keep: Keep) -> Outcome:
    """Create, deploy and reboot fresh nodes. Refuses while nodes of the deployment exist."""
    allow_files(session.desired)
    prospects = await find_offers(session)
    check_budget(session, prospects)
    existing = await list_nodes(session)
    if existing:
        raise RefusedError(
            f"{len(existing)} nodes of {session.deployment} exist: "
            f"{', '.join(placed.node.name for placed in existing)}",
            hint="run 'spotdeploy destroy' first, or 'spotdeploy cycle' for both",
        )
    return await _make(session, plan, prospects, keep, _through_reboot, [])


async def run_verify(session: Session, plan: Plan) -> Outcome:
    """Verify the nodes that exist. Changes nothing on them and destroys nothing."""
    placed = await list_nodes(session)
    if not placed:
        raise RefusedError(f"no nodes of {session.deployment} exist", hint="run 'spotdeploy cycle'")
    for one in placed:
        node = one.node
        session.bus.emit(
            NodeListed(node=node.id, name=node.name, provider=node.provider, location=node.location)
        )
    progress = _Progress()
    runner = _runner(session, plan, keys.read(session.folder, session.deployment), _just_verify)
    progress.nodes = await runner.run(placed)
    progress.kept = [one.node for one in placed]
    return conclude(session, progress, desired=max(session.desired, len(placed)))


async def run_destroy(session: Session) -> Outcome:
    """Destroy everything of the deployment and prove it."""
    receipt, stopped = await finish_despite_cancel(destroy(session))
    return conclude(session, _Progress(receipts=[receipt], stopped=stopped), desired=0)


async def list_nodes(session: Session) -> list[Placed]:
    """Every node of the deployment that is not gone, asked of the providers."""
    found = await asyncio.gather(*(place.nodes(session.scope) for place in session.all_locations))
    return [
        Placed(node, place)
        for place, nodes in zip(session.all_locations, found, strict=True)
        for node in nodes
        if node.state is not NodeState.GONE
    ]


@dataclass
class _Progress:
    """What a run has come to so far; the outcome is made of it, even when the user stops it."""

    nodes: tuple[NodeOutcome, ...] = ()
    created: int | None = None
    refusals: tuple[Refusal, ...] = ()
    receipts: list[Receipt] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    stopped: bool = False
    trouble: str = ""

    @property
    def changed(self) -> bool:
        """Whether the run made or ended anything, or may have."""
        ended = any(receipt.destroyed or receipt.left for receipt in self.receipts)
        return ended or bool(self.created or self.kept)


def conclude(session: Session, progress: _Progress, *, desired: int | None = None) -> Outcome:
    """The outcome of a run that has ended."""
    desired = session.desired if desired is None else desired
    verdict, message = judge(
        progress.nodes,
        progress.receipts,
        desired=desired,
        quorum=min(session.quorum, desired),
        refusals=progress.refusals,
        created=progress.created,
        stopped=progress.stopped,
    )
    if verdict is Verdict.INFRASTRUCTURE_FAILED and progress.trouble:
        message = f"{message}; {progress.trouble}" if message else progress.trouble
    if not desired and verdict is Verdict.PASSED:
        message = "nothing is left"
    return Outcome(
        run=session.run,
        deployment=session.deployment,
        verdict=verdict,
        message=message,
        desired=desired,
        nodes=progress.nodes,
        refusals=progress.refusals,
        receipts=tuple(progress.receipts),
        kept=tuple(progress.kept),
    )


async def _make(
    session: Session,
    plan: Plan,
    prospects: Prospects,
    keep: Keep,
    pipeline: Pipeline,
    receipts: list[Receipt],
) -> Outcome:
    """Create nodes and take them through the journey; whatever happens, end by policy.

    Raises HostError when this computer lacks something and nothing was changed.
    """
    progress = _Progress(receipts=receipts)
    refusal: HostError | None = None
    try:
        work = _create_and_run(session, plan, prospects, pipeline, progress)
        await within_budget(session, work)
    except ProviderError as error:
        progress.trouble = error.message
    except HostError as error:
        progress.trouble, refusal = error.message, error
    except asyncio.CancelledError:
        progress.stopped = True
        clear_cancellation()
    except BaseException:
        await finish_despite_cancel(_end_by_policy(session, progress, keep))
        raise
    _, stopped = await finish_despite_cancel(_end_by_policy(session, progress, keep))
    progress.stopped |= stopped
    if refusal and not progress.changed:
        raise refusal
    return conclude(session, progress)


async def _create_and_run(
    session: Session, plan: Plan, prospects: Prospects, pipeline: Pipeline, progress: _Progress
) -> None:
    pair = keys.make(session.folder, session.deployment)
    life = session.settings.config.nodes.time_to_live
    request = Request(user_data(session, pair), plan.manifest.digest, expiry(life))
    creation = await create(session, prospects.offers, request)
    progress.refusals = creation.refusals
    progress.created = len(creation.placed)
    runner = _runner(session, plan, pair, pipeline, _Replacer(session, prospects.offers, request))
    if len(creation.placed) >= session.quorum:
        progress.nodes = await runner.run(creation.placed)


def _runner(
    session: Session,
    plan: Plan,
    pair: keys.Keys,
    pipeline: Pipeline,
    replacer: _Replacer | None = None,
) -> NodeRunner:
    return NodeRunner(session, plan, pair, pipeline, evidence_folder(session), replacer)


def evidence_folder(session: Session) -> Path:
    """Where this run's evidence goes."""
    return session.settings.state / "runs" / session.run / "evidence"


async def _end_by_policy(session: Session, progress: _Progress, keep: Keep) -> None:
    passed = conclude(session, progress).verdict is Verdict.PASSED
    if keep == "always":
        await _note_kept(session, progress)
    elif keep == "passing" and passed:
        await _end_failed(session, progress)
        await _note_kept(session, progress)
    else:
        progress.receipts.append(await destroy(session))


async def _end_failed(session: Session, progress: _Progress) -> None:
    """End the nodes that did not pass when the others are enough."""
    failed = {o.node.id for o in progress.nodes if o.verdict is not Verdict.PASSED}
    for location in session.all_locations:
        mine = [o.node for o in progress.nodes if o.node.id in failed]
        here = [node for node in mine if (node.provider, node.location) == location.key]
        if here:
            progress.receipts.append(await destroy_nodes(session, location, here))


async def _note_kept(session: Session, progress: _Progress) -> None:
    with suppress(ProviderError):  # only for the screen: the nodes are kept either way
        progress.kept = [placed.node for placed in await list_nodes(session)]


class _Replacer:
    """Replaces interrupted nodes while the config allows it."""

    def __init__(self, session: Session, offers: dict[str, list[Offer]], request: Request) -> None:
        nodes = session.settings.config.nodes
        self._left = nodes.replacements if nodes.on_interruption == "replace" else 0
        self._session = session
        self._offers = offers
        self._request = request
        self._tokens = itertools.count(REPLACEMENT_TOKENS, 100)

    async def __call__(self, outcome: NodeOutcome, placed: Placed) -> Sequence[Placed]:
        if self._left <= 0:
            return ()
        self._left -= 1
        node = placed.node
        self._session.bus.emit(Note(text=f"replacing {node.name}: {outcome.message}", node=node.id))
        await destroy_nodes(self._session, placed.location, [node])
        creation = await replace_node(
            self._session,
            node.provider,
            self._offers[node.provider],
            self._request,
            next(self._tokens),
        )
        return creation.placed


async def _through_reboot(run: NodeRun, watch: Watch) -> None:
    await boot(run, watch)
    await ship(run)
    await deploy(run)
    if run.session.settings.config.payload.reboot:
        await reboot(run)


async def _through_verify(run: NodeRun, watch: Watch) -> None:
    await _through_reboot(run, watch)
    await verify(run)


async def _just_verify(run: NodeRun, watch: Watch) -> None:
    del watch
    async with run.in_phase("connect", run.session.settings.config.timeouts.boot):
        await connect_until(run.connection, 30.0)
    await verify(run)
