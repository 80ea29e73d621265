"""How long a node's journey may go on: until it ends, or the cloud takes the node back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from spotdeploy.errors import UnreachableError
from spotdeploy.model import Fate
from spotdeploy.provider import SupportsInterruptionNotice
from spotdeploy.run.liveness import Watch
from spotdeploy.run.node_run import NodeRun

NOTICE_SECONDS: Final = 5.0
"""How often a node is asked whether an interruption was announced: as often as AWS recommends
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html)."""
_LOST: Final = "the provider no longer shows it running"


class AnnouncedError(UnreachableError):
    """The cloud announced that it takes the node back. `fate` has its words."""

    def __init__(self, message: str, *, phase: str, fate: Fate) -> None:
        super().__init__(message, phase=phase)
        self.fate = fate


async def unless_lost(
    journey: Awaitable[None], watch: Watch, run: NodeRun, *, every: float = NOTICE_SECONDS
) -> None:
    """Await the journey, but no longer than the provider shows the node running, and no longer
    than until an interruption is announced on it. `every` is in seconds.

    Raises what the journey raises, AnnouncedError, or UnreachableError.
    """
    work = asyncio.ensure_future(journey)
    lost = asyncio.ensure_future(watch.until_lost(run.node))
    announced = asyncio.ensure_future(_announced(run, every))
    try:
        await asyncio.wait({work, lost, announced}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
        elif announced.done():
            fate = announced.result()
            words = f"{run.node.name}: {fate.words}"
            raise AnnouncedError(words, phase=run.phase, fate=fate)
        else:
            raise UnreachableError(f"{run.node.name}: {_LOST}", phase=run.phase)
    finally:
        for task in (work, lost, announced):
            task.cancel()
        await asyncio.gather(work, lost, announced, return_exceptions=True)


async def _announced(run: NodeRun, every: float) -> Fate:
    """Return once the node reads an announcement; never where the provider has none."""
    provider = run.location.provider
    while True:
        await asyncio.sleep(every)
        if not isinstance(provider, SupportsInterruptionNotice) or not run.connection.connected:
            continue
        try:
            result = await run.connection.run(provider.notice_command(), timeout=10.0)
        except UnreachableError:
            continue  # the journey finds out, or the connection comes back
        if fate := provider.notice(result.stdout):
            return fate
