"""Running many nodes through their phases at once, and saying of each how it ended."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from spotdeploy.errors import HostError, NodeError, PayloadError, ProviderError
from spotdeploy.events import NodeEnded
from spotdeploy.model import Fate, FateKind
from spotdeploy.node.connection import HANDSHAKES, Dialer, NodeConnection
from spotdeploy.node.keys import Keys
from spotdeploy.phases.create import Placed
from spotdeploy.phases.evidence import collect
from spotdeploy.run.context import Plan, Session
from spotdeploy.run.liveness import AnnouncedError, Watch, unless_lost
from spotdeploy.run.location import Location
from spotdeploy.run.node_run import NodeRun, one_line
from spotdeploy.run.verdict import NodeOutcome, Verdict

FILES_EACH = 2
"""Open files of one node: its ssh connection, and one port dialled from here."""
FILES_BESIDE = 256
Pipeline = Callable[[NodeRun, Watch], Awaitable[None]]
OnInterrupted = Callable[[NodeOutcome, Placed], Awaitable[Sequence[Placed]]]


@dataclass(frozen=True)
class NodeRunner:
    """What all nodes of a run share."""

    session: Session
    plan: Plan
    keys: Keys
    pipeline: Pipeline
    """What each node goes through."""
    evidence: Path
    """The run's folder for evidence; each node gets one of its own under it."""
    on_interrupted: OnInterrupted | None = None
    """Asked for replacements when a node was interrupted; it destroys the old one."""

    async def run(self, placed: Iterable[Placed]) -> tuple[NodeOutcome, ...]:
        """Take every node through the journey, none waiting for another."""
        placed = tuple(placed)
        gc.freeze()  # what was imported is not looked through for garbage again and again
        allow_files(len(placed))
        login, pinned = self.keys.login.load(), self._pinned()
        async with self._watches() as watches:
            shared = _Shared(watches, login, pinned, asyncio.Semaphore(HANDSHAKES))
            groups = await asyncio.gather(*(self._run_one(one, shared) for one in placed))
        return tuple(outcome for group in groups for outcome in group)

    async def _run_one(self, placed: Placed, shared: _Shared) -> tuple[NodeOutcome, ...]:
        """The outcome of a node, or those of the nodes that took its place."""
        outcome = await self._outcome(placed, shared)
        interrupted = outcome.fate is not None and outcome.fate.kind is FateKind.INTERRUPTED
        if not interrupted or self.on_interrupted is None:
            return (outcome,)
        others = await self.on_interrupted(outcome, placed)
        if not others:
            return (outcome,)
        groups = await asyncio.gather(*(self._run_one(one, shared) for one in others))
        return tuple(outcome for group in groups for outcome in group)

    async def _outcome(self, placed: Placed, shared: _Shared) -> NodeOutcome:
        run, watch = self._new_run(placed, shared), shared.watches[placed.location]
        try:
            try:
                await unless_lost(self.pipeline(run, watch), watch, run)
            except asyncio.CancelledError:
                await collect(run, self.evidence)  # the node may not outlive the stop
                raise
            except NodeError as error:
                outcome = await self._failed(run, error)
            else:
                outcome = _outcome(run, Verdict.PASSED)
            await self._keep_evidence(run, outcome)
        finally:
            await run.connection.close()
        self.session.bus.emit(
            NodeEnded(
                node=run.node.id,
                verdict=outcome.verdict,
                detail=outcome.message,
                fate=outcome.fate.kind if outcome.fate else "",
            )
        )
        return outcome

    def _new_run(self, placed: Placed, shared: _Shared) -> NodeRun:
        node = placed.node
        connection = NodeConnection(
            node,
            Dialer(placed.location.provider),
            self.session.settings.config.nodes.user,
            shared.login,
            shared.pinned.get((node.provider, node.location, node.id))
            or self.keys.bootstrap_host.public,
            self.plan.manifest,
            shared.turns,
        )
        return NodeRun(self.session, self.plan, placed.location, node, connection)

    def _pinned(self) -> dict[tuple[str, str, str], str]:
        known = self.session.journal.nodes(self.session.deployment)
        return {(n.provider, n.location, n.id): n.host_key for n in known if n.host_key}

    async def _failed(self, run: NodeRun, error: NodeError) -> NodeOutcome:
        """Ask what became of the node before anything is blamed on the payload."""
        fate = error.fate if isinstance(error, AnnouncedError) else await _fate(run)
        message = one_line(error, run.node)
        if fate.kind is not FateKind.ALIVE:
            message = f"{fate.kind} during {run.phase}: {fate.message or message}"
            return _outcome(run, Verdict.INFRASTRUCTURE_FAILED, message, fate)
        if isinstance(error, PayloadError):
            return _outcome(run, Verdict.PAYLOAD_FAILED, message, fate)
        return _outcome(run, Verdict.INFRASTRUCTURE_FAILED, message, fate)

    async def _keep_evidence(self, run: NodeRun, outcome: NodeOutcome) -> None:
        always = self.session.settings.config.evidence.collect == "always"
        if always or outcome.verdict is not Verdict.PASSED:
            await collect(run, self.evidence)

    @asynccontextmanager
    async def _watches(self) -> AsyncIterator[dict[Location, Watch]]:
        session = self.session
        watches = {place: Watch(session, place, session.scope) for place in session.all_locations}
        tasks = [asyncio.create_task(watch.run()) for watch in watches.values()]
        try:
            yield watches
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What is made once, however many nodes there are."""

    watches: Mapping[Location, Watch]
    login: asyncssh.SSHKey
    pinned: Mapping[tuple[str, str, str], str]
    """Provider, location and id to the host key that the journal knows."""
    turns: asyncio.Semaphore
    """For handshakes."""


def allow_files(nodes: int) -> None:
    """Raise the soft limit on open files, often 1024, to what so many nodes may need.

    Raises HostError when the hard limit does not allow that.
    """
    desired = nodes * FILES_EACH + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < desired:
        raise HostError(
            f"{nodes} nodes may need {desired} open files, and this process may have {hard}",
            hint=f"as root: 'ulimit -Hn {desired}'; or see docs/limits.md",
        )
    if soft != resource.RLIM_INFINITY and soft < desired:
        resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))


async def _fate(run: NodeRun) -> Fate:
    try:
        return await run.location.fate(run.node)
    except ProviderError as error:
        return Fate(FateKind.ALIVE, f"the provider could not say: {error.message}")


def _outcome(
    run: NodeRun, verdict: Verdict, message: str = "", fate: Fate | None = None
) -> NodeOutcome:
    return NodeOutcome(
        node=run.node,
        verdict=verdict,
        phase=run.phase,
        message=message,
        checks=run.checks,
        fate=fate,
        seconds=dict(run.seconds),
    )
