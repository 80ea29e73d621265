"""Takes many nodes through their pipeline at once, and says of each how it ended."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from spotdeploy.errors import HostError, NodeError, PayloadError, ProviderError, SpotdeployError
from spotdeploy.events import NodeEnded, Note
from spotdeploy.model import Fate, FateKind, Node, Verdict
from spotdeploy.node.connection import HANDSHAKES, Dialer, NodeConnection
from spotdeploy.node.keys import Keys
from spotdeploy.phases.evidence import collect
from spotdeploy.run.admission import Admission
from spotdeploy.run.context import Run
from spotdeploy.run.liveness import NOTICE_SECONDS, Liveness, LostError, lost, unless_lost
from spotdeploy.run.node_run import NodeRun, one_line
from spotdeploy.run.roster import Roster
from spotdeploy.run.trace import keep_trace
from spotdeploy.run.verdict import NodeOutcome

FILES_EACH: Final = 2
"""Open files of one node: its ssh connection, and one port dialled from here."""
FILES_BESIDE: Final = 256
PARTING_SECONDS: Final = 5.0
"""For the evidence of a stopped run: CI runners kill it ten seconds after they asked it to stop."""
CONFIRM_SECONDS: Final = 60.0
"""How long an interruption that only the node told of may take to show. EC2 shows one as soon as it
announces it; GCP and Azure take the machine half a minute later."""
Pipeline = Callable[[NodeRun, Liveness], Awaitable[None]]
OnInterrupted = Callable[[NodeOutcome], Awaitable[Sequence[Node]]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all nodes of a run share, of whatever group: see `sharing`."""

    keys: Keys
    liveness: Mapping[tuple[str, str], Liveness]
    """Of each location, by its key."""
    login: asyncssh.SSHKey
    pinned_keys: Mapping[tuple[str, str, str], str]
    """Provider, location and id to the host key that the journal knows."""
    turns: asyncio.Semaphore
    """For handshakes."""
    roster: Roster = field(default_factory=Roster)
    admission: Admission = field(default_factory=Admission)
    partings: list[asyncio.Task[None]] = field(default_factory=list)
    """After a stop, what nodes can still show while they end, for `PARTING_SECONDS` at most."""


@asynccontextmanager
async def sharing(
    run: Run, keys: Keys, partings: list[asyncio.Task[None]]
) -> AsyncIterator[Shared]:
    """What the nodes of a run share, while they are under way. `partings` are those of `Shared`."""
    gc.freeze()  # what was imported is not looked through for garbage again and again
    liveness = {place.key: Liveness(run, place, run.scope) for place in run.all_locations}
    tasks = [asyncio.create_task(one.run()) for one in liveness.values()]
    known = run.journal.nodes(run.deployment)
    pinned = {(n.provider, n.location, n.id): n.host_key for n in known if n.host_key}
    turns = asyncio.Semaphore(HANDSHAKES)
    try:
        yield Shared(keys, liveness, keys.login.load(), pinned, turns, partings=partings)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class NodeRunner:
    """Takes the nodes of one group through their phases."""

    run: Run
    """Of the group."""
    shared: Shared
    pipeline: Pipeline
    """The phases that each node goes through."""
    on_interrupted: OnInterrupted | None = None
    """Asked for replacements when a node was interrupted; it destroys the old one."""
    fresh: bool = True
    """Whether this run made the nodes, so that they still have the host key of their user-data.
    Others must have the one on record: whoever reads user-data has the first."""

    async def run_nodes(self, nodes: Iterable[Node]) -> tuple[NodeOutcome, ...]:
        """Take every node through the pipeline, none waiting for another."""
        nodes = tuple(nodes)
        allow_files(len(nodes))
        self.shared.roster.enter(self.run.group, nodes)
        self._number(nodes)
        groups = await asyncio.gather(*(self._run_one(node) for node in nodes))
        return tuple(outcome for group in groups for outcome in group)

    def _number(self, nodes: Iterable[Node]) -> None:
        """Note which index fresh nodes have, for whoever asks after the run."""
        if self.fresh:
            roster = self.shared.roster
            indexes = [(node, roster.member(node).index) for node in nodes]
            self.run.journal.number(self.run.deployment, indexes)

    async def until_lost(self, node: Node) -> Fate:
        """What became of a node that passed, once the cloud says that it lives no more."""
        node_run = self._node_run(node)
        return await lost(self.shared.liveness[node_run.location.key], node_run)

    async def _run_one(self, node: Node) -> tuple[NodeOutcome, ...]:
        """The outcome of a node, or those of the nodes that took its place."""
        outcome = await self._outcome(node)
        interrupted = outcome.fate is not None and outcome.fate.kind is FateKind.INTERRUPTED
        if not interrupted or self.on_interrupted is None:
            return (outcome,)
        others = await self._replacements(outcome, self.on_interrupted)
        if not others:
            return (outcome,)
        self.shared.roster.replace(node, others)
        self._number(others[:1])
        groups = await asyncio.gather(*(self._run_one(one) for one in others))
        return tuple(outcome for group in groups for outcome in group)

    async def _replacements(self, outcome: NodeOutcome, ask: OnInterrupted) -> Sequence[Node]:
        """The nodes in place of an interrupted one; none when there can be none."""
        node = outcome.node
        try:
            return await ask(outcome)
        except ProviderError as error:
            message = error.explained
        except SpotdeployError:
            raise
        except Exception as error:  # noqa: BLE001  # of a plugin: the other nodes go on
            message = keep_trace(self.run, error, f"replacing {node.name}")
        text = f"{node.name} is not replaced: {message}"
        self.run.bus.emit(Note(text=text, node=node.id, warning=True))
        return ()

    async def _outcome(self, node: Node) -> NodeOutcome:
        node_run = self._node_run(node)
        try:
            outcome = await self._judged(node_run, self.shared.liveness[node_run.location.key])
        except asyncio.CancelledError:
            self.shared.partings.append(asyncio.create_task(self._part(node_run)))
            raise  # the nodes end soon, however long evidence takes
        except BaseException:
            await node_run.connection.close()
            raise
        await node_run.connection.close()
        await self.shared.roster.tell(node_run.node, ended=not outcome.passed)
        self.run.bus.emit(
            NodeEnded(
                node=node_run.node.id,
                verdict=outcome.verdict,
                detail=outcome.message,
                fate=outcome.fate.kind if outcome.fate else None,
            )
        )
        return outcome

    async def _judged(self, node_run: NodeRun, liveness: Liveness) -> NodeOutcome:
        """Take a node through the pipeline, and collect its evidence as the config says."""
        try:
            await unless_lost(self.pipeline(node_run, liveness), liveness, node_run)
        except NodeError as error:
            outcome = await self._failed(node_run, error)
        except HostError:
            raise
        except Exception as error:  # noqa: BLE001  # of a plugin: the other nodes go on
            message = keep_trace(self.run, error, f"{node_run.phase} of {node_run.node.name}")
            outcome = _outcome(node_run, Verdict.INFRASTRUCTURE_FAILED, message)
        else:
            outcome = _outcome(node_run, Verdict.PASSED)
        if self.run.config.evidence.collect == "always" or not outcome.passed:
            await collect(node_run, self.run.folder / "evidence")
        return outcome

    async def _part(self, node_run: NodeRun) -> None:
        """Bring back what there is time for, over the connection that stands."""
        try:
            await collect(node_run, self.run.folder / "evidence", PARTING_SECONDS, console=False)
        finally:
            await node_run.connection.close()

    def _node_run(self, node: Node) -> NodeRun:
        location, shared = self.run.location_of(node), self.shared
        connection = NodeConnection(
            node,
            Dialer(location.provider),
            self.run.config.nodes.user,
            shared.login,
            shared.keys.bootstrap_host.public
            if self.fresh
            else shared.pinned_keys.get((node.provider, node.location, node.id), ""),
            self.run.plan.manifest,
            shared.turns,
            lambda group: [one.node for one in shared.roster.members([group]) if not one.ended],
        )
        return NodeRun(self.run, location, node, connection, shared.roster, shared.admission)

    async def _failed(self, node_run: NodeRun, error: NodeError) -> NodeOutcome:
        """Ask what became of the node before anything is blamed on the payload: only a cloud that
        says that it lives lets the blame stand. What the node read of an interruption is no more
        than a reason to ask for longer, as the payload may have written it."""
        fate = error.fate if isinstance(error, LostError) else await node_run.fate()
        if node_run.announced and isinstance(error, PayloadError):
            fate = await _unless_confirmed(node_run, fate)
        message, verdict = one_line(error, node_run.node), Verdict.INFRASTRUCTURE_FAILED
        if fate.kind is FateKind.UNKNOWN:
            message = f"{message}; what became of the node is not known: {fate.message}"
        elif fate.kind is not FateKind.ALIVE:
            message = f"{fate.kind} during {node_run.phase}: {fate.message or message}"
        elif isinstance(error, PayloadError):
            verdict = Verdict.PAYLOAD_FAILED
        elif node_run.announced:
            message = f"{message}; an interruption was announced: {node_run.announced.message}"
        return _outcome(node_run, verdict, message, fate)


def allow_files(nodes: int) -> None:
    """Raise the soft limit on open files, often 1024, to what so many nodes may need.

    Raises HostError when the hard limit does not allow that.
    """
    needed = nodes * FILES_EACH + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise HostError(
            f"{nodes} nodes may need {needed} open files, and this process may have {hard}",
            hint=f"as root: 'ulimit -Hn {needed}'; or see docs/limits.md",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def _unless_confirmed(node_run: NodeRun, fate: Fate) -> Fate:
    """The fate of a node that read of an interruption, once the cloud has had time for it."""
    clock = asyncio.get_running_loop().time
    until = clock() + CONFIRM_SECONDS
    while fate.kind is FateKind.ALIVE and clock() < until:
        await asyncio.sleep(NOTICE_SECONDS)
        fate = await node_run.fate()
    return fate


def _outcome(
    node_run: NodeRun, verdict: Verdict, message: str = "", fate: Fate | None = None
) -> NodeOutcome:
    return NodeOutcome(
        node=node_run.node,
        verdict=verdict,
        phase=node_run.phase,
        message=message,
        checks=node_run.checks,
        fate=fate,
        seconds=dict(node_run.seconds),
    )
