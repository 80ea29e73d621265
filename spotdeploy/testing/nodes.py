"""Verified nodes for a project's own tests: the fixture `spotdeploy_nodes`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spotdeploy.api import Outcome, Project, Verdict
from spotdeploy.check import CommandResult, Connection
from spotdeploy.model import Node
from spotdeploy.node.access import access

T = TypeVar("T")


class NotVerifiedError(Exception):
    """The cycle before the tests did not pass; its message says why, and nothing is left of it."""


class Loop:
    """An event loop in a thread of its own, for tests that are not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work, or what it raises. Blocks."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class VerifiedNode:
    """One node that passed every check of its project."""

    node: Node
    """What the provider says of it: name, address, size and so on."""
    connection: Connection
    """For asynchronous tests; it belongs to the loop that `run` uses."""
    _loop: Loop

    def run(self, command: Sequence[str], *, timeout: float = 30.0) -> CommandResult:
        """Run a command on the node as root, and wait for it. `timeout` is in seconds.

        Raises UnreachableError when the node cannot be reached.
        """
        return self._loop.wait(self.connection.run(command, timeout=timeout))


@contextmanager
def verified_nodes(
    config: Path, providers: Sequence[str] | None = None
) -> Iterator[tuple[VerifiedNode, ...]]:
    """Run a cycle and give its nodes, connected, while the block runs; then destroy them. What
    `[before]` says is not run: it may be what runs this.

    Raises NotVerifiedError when the cycle does not pass or something could not be proven gone at
    the end, and SpotdeployError for what was refused.
    """
    project = Project.open(config, providers=providers, keep="passing")
    loop = Loop()
    try:
        _require(loop.wait(project.cycle(before=False)))
        stack = AsyncExitStack()
        try:
            yield loop.wait(_connected(project, stack, loop))
        finally:
            loop.wait(stack.aclose())
            _require(loop.wait(project.destroy()))
    finally:
        loop.close()


async def _connected(
    project: Project, stack: AsyncExitStack, loop: Loop
) -> tuple[VerifiedNode, ...]:
    found = await asyncio.to_thread(project.nodes_with_providers)
    known = [access(project, node, provider) for node, provider in found]
    return tuple(
        [
            VerifiedNode(one.node, await stack.enter_async_context(one.connected()), loop)
            for one in known
        ]
    )


def _require(outcome: Outcome) -> None:
    if outcome.verdict is not Verdict.PASSED:
        raise NotVerifiedError(f"{outcome.verdict}: {outcome.message}")
