"""Whether nodes still run: one listing for all nodes of a location, and the notices that nodes read
of an interruption."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from spotdeploy.errors import HostError, ProviderError, UnreachableError
from spotdeploy.events import Note
from spotdeploy.model import Fate, FateKind, Node, NodeState
from spotdeploy.provider import SupportsInterruptionNotice
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.trace import keep_trace
from spotdeploy.text import plain

SLOWER: Final = 4
"""Once every node runs, listings are this many times rarer."""
ABSENCES: Final = 2
"""A node that was listed before counts as lost after so many listings in a row without it."""


class Liveness:
    """The nodes of one location, listed again and again while they are under way."""

    def __init__(self, run: Run, location: Location, labels: Mapping[str, str]) -> None:
        """`labels` select the nodes to watch."""
        self._run = run
        self._location = location
        self._labels = labels
        self._sight: dict[str, Node] = {}
        self._seen: set[str] = set()
        self._changed = asyncio.Condition()
        self._waiting = 0
        self._lost: dict[str, asyncio.Future[None]] = {}
        self._watched_from: dict[str, float] = {}
        self._absences: Counter[str] = Counter()

    async def run(self) -> None:
        """List until cancelled."""
        while True:
            await self._pause()
            if not self._waiting and not self._lost:
                continue
            try:
                nodes = await self._location.nodes(self._labels)
            except ProviderError as error:
                self._run.bus.emit(
                    Note(text=f"cannot list {self._location}: {error.message}", warning=True)
                )
                continue
            self._record(nodes)
            async with self._changed:
                self._changed.notify_all()
                self.listed(nodes)

    def _record(self, nodes: Sequence[Node]) -> None:
        """Write into the journal which nodes were listed for the first time: a destroy need not
        wait for listings to catch up with them."""
        fresh = [node for node in nodes if node.id not in self._seen]
        try:
            if fresh:
                self._run.journal.seen(fresh, self._run.deployment)
        except HostError as error:
            self._run.bus.emit(Note(text=error.message, warning=True))

    def listed(self, nodes: Sequence[Node]) -> None:
        """Take note of a listing."""
        self._sight = {node.id: node for node in nodes}
        self._tell_lost()

    async def _pause(self) -> None:
        for _ in range(SLOWER):
            await asyncio.sleep(self._location.provider.poll_seconds)
            if self._waiting:
                return

    async def next_sight(self, node: Node) -> Node:
        """The node as the next listing shows it, or as it was while it is not listed (yet)."""
        self._waiting += 1
        try:
            async with self._changed:
                await self._changed.wait()
        finally:
            self._waiting -= 1
        return self._sight.get(node.id, node)

    async def until_lost(self, node: Node) -> None:
        """Return once a listing shows that the node stopped or is going, or once it is missing
        twice in a row from listings that must show it: those after one that did, or after the
        provider's `settle_seconds`."""
        loop = asyncio.get_running_loop()
        self._watched_from.setdefault(node.id, loop.time())
        await asyncio.shield(self._lost.setdefault(node.id, loop.create_future()))

    def trust_again(self, node: Node) -> None:
        """Forget why the node was taken for lost: the cloud says that it lives."""
        self._lost.pop(node.id, None)
        self._absences[node.id] = 0

    def _tell_lost(self) -> None:
        for id_, future in self._lost.items():
            node = self._sight.get(id_)
            self._absences[id_] = 0 if node else self._absences[id_] + self._must_show(id_)
            down = node is not None and node.state not in (NodeState.PENDING, NodeState.RUNNING)
            if (down or self._absences[id_] >= ABSENCES) and not future.done():
                future.set_result(None)
        self._seen |= self._sight.keys()

    def _must_show(self, id_: str) -> bool:
        watched = asyncio.get_running_loop().time() - self._watched_from[id_]
        return id_ in self._seen or watched >= self._location.provider.settle_seconds


NOTICE_SECONDS: Final = 5.0
"""How often a node is asked whether an interruption was announced: as often as AWS recommends
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html)."""


class LostError(UnreachableError):
    """The cloud says that the node is no more, or will not be. `fate` has its words."""

    def __init__(self, message: str, *, phase: str, fate: Fate) -> None:
        super().__init__(message, phase=phase)
        self.fate = fate


async def unless_lost(
    pipeline: Awaitable[None],
    liveness: Liveness,
    node_run: NodeRun,
    *,
    every: float = NOTICE_SECONDS,
) -> None:
    """Await the pipeline, but no longer than the node lives.

    A listing without it, or one that shows it stopped, and an interruption that the node read on
    itself are only reasons to ask the cloud what became of it: its answer counts. `every` is in
    seconds.

    Raises what the pipeline raises, or LostError.
    """
    work = asyncio.ensure_future(pipeline)
    loss = asyncio.ensure_future(lost(liveness, node_run, every=every))
    try:
        await asyncio.wait({work, loss}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
        else:
            fate = loss.result()
            message = f"{node_run.node.name}: {fate.message or fate.kind}"
            raise LostError(message, phase=node_run.phase, fate=fate)
    finally:
        for task in (work, loss):
            task.cancel()
        await asyncio.gather(work, loss, return_exceptions=True)


async def lost(liveness: Liveness, node_run: NodeRun, *, every: float = NOTICE_SECONDS) -> Fate:
    """What became of a node, once the cloud says that it does not live. `every` is in seconds."""
    while True:
        await _sign(liveness, node_run, every)
        fate = await node_run.fate()
        if fate.kind not in (FateKind.ALIVE, FateKind.UNKNOWN):
            return fate
        liveness.trust_again(node_run.node)
        await asyncio.sleep(every)


async def _sign(liveness: Liveness, node_run: NodeRun, every: float) -> None:
    """Return once a listing or the node itself gives reason to ask."""
    signs = [
        asyncio.ensure_future(liveness.until_lost(node_run.node)),
        asyncio.ensure_future(_announced(node_run, every)),
    ]
    try:
        await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in signs:
            task.cancel()
        await asyncio.gather(*signs, return_exceptions=True)


async def _announced(node_run: NodeRun, every: float) -> None:
    """Return once the node reads an announcement; never where the provider has none."""
    provider = node_run.location.provider
    while True:
        await asyncio.sleep(every)
        if (
            not isinstance(provider, SupportsInterruptionNotice)
            or not node_run.connection.connected
        ):
            continue
        try:
            result = await node_run.connection.run(provider.notice_command(), timeout=10.0)
        except UnreachableError:
            continue  # the pipeline finds out, or the connection comes back
        if fate := _notice(node_run, provider, result.stdout):
            if node_run.announced is None:
                text = f"{node_run.node.name}: an interruption was announced: {fate.message}"
                node_run.bus.emit(Note(text=text, node=node_run.node.id, warning=True))
            node_run.announced = fate
            return


def _notice(node_run: NodeRun, provider: SupportsInterruptionNotice, output: str) -> Fate | None:
    """What a node's output announces. A provider that cannot bear it announces nothing: the
    output is the node's, and costs it and the others no verdict."""
    try:
        fate = provider.notice(output)
    except Exception as error:  # noqa: BLE001  # of a plugin: the node goes on
        doing = f"reading what {node_run.node.name} said of an interruption"
        text = f"{doing}: {keep_trace(node_run.run, error, doing)}"
        node_run.bus.emit(Note(text=text, node=node_run.node.id, warning=True))
        return None
    return replace(fate, message=plain(fate.message, limit=200)) if fate else None
