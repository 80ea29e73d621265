"""One provider object, its one thread, and patience with a cloud that asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, TypeVarTuple

from spotdeploy.duration import spell
from spotdeploy.errors import SpotdeployError, ThrottledError
from spotdeploy.model import Batch, Created, Fate, Node, NodeState, Offer, Pool, Problem, Resource
from spotdeploy.patience import LONGEST_PAUSE, LONGEST_WAIT, Patience
from spotdeploy.provider import (
    Provider,
    SupportsAccount,
    SupportsClaims,
    SupportsConsole,
    SupportsPeers,
    SupportsPlan,
    SupportsPrepare,
    problem_of,
)
from spotdeploy.run.worker import Worker

A = TypeVarTuple("A")
R = TypeVar("R")


class Location:
    """A location as the core uses it: the provider's methods, awaited.

    All calls run in one thread of its own. A throttled call is repeated; see `patience`. To cancel
    one ends its pauses at once.
    """

    def __init__(
        self, provider: Provider[Any], name: str, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """`tell` hears of the waits that a cloud asks for."""
        self.provider = provider
        self.name = name
        self._tell = tell
        self._thread = Worker(f"{provider.name}-{name}")

    def __str__(self) -> str:
        return f"{self.provider.name} {self.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Provider and location: what the journal knows it by."""
        return self.provider.name, self.name

    def close(self) -> None:
        """End the thread once its current call is over. Neither this nor the process's exit waits
        for that: a call may never be answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def problems(self, pool: Pool, batch: Batch) -> tuple[Problem, ...]:
        """See `Provider.doctor` and `SupportsPlan.objections`: each problem once."""
        found = list(await self.call(self.provider.doctor))
        if isinstance(self.provider, SupportsPlan):
            try:
                found += await self.call(self.provider.objections, pool, batch)
            except SpotdeployError as error:
                found.append(problem_of(error))
        return tuple(dict.fromkeys(found))

    async def offers(self, pool: Pool) -> Sequence[Offer]:
        return await self.call(self.provider.offers, pool)

    async def prepare(self, progress: Callable[[str], None]) -> None:
        """See `SupportsPrepare.prepare`; nothing to do for most providers."""
        if isinstance(self.provider, SupportsPrepare):
            await self.call(self.provider.prepare, progress)

    async def create(self, offer: Offer, batch: Batch) -> Created:
        return await self.call(self.provider.create, offer, batch)

    async def nodes(
        self, labels: Mapping[str, str], *, longest_wait: float = LONGEST_WAIT
    ) -> Sequence[Node]:
        """See `Provider.nodes`, and `Patience` for `longest_wait`."""
        return await self.call(self.provider.nodes, labels, longest_wait=longest_wait)

    async def destroy(self, nodes: Sequence[Node]) -> None:
        if nodes:
            await self.call(self.provider.destroy, nodes)

    async def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return await self.call(self.provider.leftovers, labels)

    async def release(self, resources: Sequence[Resource]) -> None:
        if resources:
            await self.call(self.provider.release, resources)

    async def fate(self, node: Node) -> Fate:
        return await self.call(self.provider.fate, node)

    async def account(self) -> str:
        """Whose account it acts in; empty where the provider has no word for it. Raises
        ProviderError where it cannot be told now."""
        if isinstance(self.provider, SupportsAccount):
            return await self.call(self.provider.account)
        return ""

    async def claim(self, labels: Mapping[str, str]) -> Resource | None:
        """See `SupportsClaims.claim`; None where the provider has no claims."""
        if isinstance(self.provider, SupportsClaims):
            return await self.call(self.provider.claim, labels)
        return None

    async def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """See `SupportsPeers.admit`; plan has refused providers that cannot."""
        if isinstance(self.provider, SupportsPeers):
            await self.call(self.provider.admit, batch, addresses)

    async def console(self, node: Node) -> str:
        """The node's console text; empty where the provider cannot show it."""
        if isinstance(self.provider, SupportsConsole):
            return await self.call(self.provider.console, node)
        return ""

    async def call(
        self, method: Callable[[*A], R], *args: *A, longest_wait: float = LONGEST_WAIT
    ) -> R:
        """Any method of the provider, in its thread and with patience; see `Patience`."""
        loop = asyncio.get_running_loop()
        patience = Patience(longest_wait)
        while True:
            try:
                return await loop.run_in_executor(self._thread, lambda: method(*args))
            except ThrottledError as error:
                seconds = patience.pause(error)
                if seconds > LONGEST_PAUSE:
                    self._tell(f"{self}: asking again in {spell(seconds)}: {error.message}")
            await asyncio.sleep(seconds)


async def list_nodes(locations: Sequence[Location], labels: Mapping[str, str]) -> list[Node]:
    """The nodes with these labels that are not gone, of all locations, asked at the same time."""
    found = await asyncio.gather(*(location.nodes(labels) for location in locations))
    return [node for nodes in found for node in nodes if node.state is not NodeState.GONE]
