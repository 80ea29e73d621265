"""What must come to its end even when the user stops the run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def finish_despite_cancel(work: Awaitable[T]) -> tuple[T, bool]:
    """Await work that a stop must not cut off. Gives its result and whether a stop came.

    The stop counts as handled: the caller is to end the run by itself. Raises what the work
    raises.
    """
    task = asyncio.ensure_future(work)
    stopped = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            stopped = True
            clear_cancellation()
    return task.result(), stopped


def clear_cancellation() -> None:
    """Take back the stop that was asked of the current task, so that it can await again."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
