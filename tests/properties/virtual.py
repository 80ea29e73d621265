"""Time that passes only when everybody waits: hours of a run's waiting in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from unittest import mock

from spotdeploy.testing.clock import ManualClock

T = TypeVar("T")
TURNS: Final = 20_000
"""More than any run of a few nodes needs: an endless loop is found, not waited for."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting for a timer, lets the clock run to it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self._turns += 1
        if self._turns > TURNS:
            raise AssertionError(f"it did not come to an end in {TURNS} turns")
        if not ready and timeout is None:
            raise AssertionError("everybody waits for something that never comes")
        if not ready and timeout:
            self._clock.sleep(max(timeout, 1e-5))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a manual clock. What would run in a thread runs at once, and is answered
    in a later turn; no name can be resolved."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        super().__init__(_Selector(clock))
        self._clock_resolution = 1e-6  # what a float of Unix seconds can tell apart

    def time(self) -> float:
        """Seconds, by the manual clock."""
        return self._clock.now()

    def run_in_executor(  # type: ignore[override]  # no thread is involved
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Call it now."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except BaseException as error:  # noqa: BLE001  # handed to whoever awaits it
            self.call_soon(_unless_done, future, future.set_exception, error)
        else:
            self.call_soon(_unless_done, future, future.set_result, result)
        return future

    async def getaddrinfo(self, host: Any, *_: Any, **__: Any) -> Any:
        """As for any name below `.invalid`."""
        raise socket.gaierror(socket.EAI_NONAME, f"{host}: name or service not known")


def _unless_done(future: asyncio.Future[T], tell: Callable[[Any], None], what: object) -> None:
    if not future.done():
        tell(what)


@contextmanager
def _clock_everywhere(clock: ManualClock) -> Iterator[None]:
    with (
        mock.patch.object(time, "time", clock.now),
        mock.patch.object(time, "monotonic", clock.now),
    ):
        yield


def run(clock: ManualClock, work: Coroutine[Any, Any, T]) -> T:
    """Run the work to its end, in no time."""
    with _clock_everywhere(clock):
        loop = VirtualLoop(clock)
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(work)
        finally:
            loop.run_until_complete(_cancel_rest())
            asyncio.set_event_loop(None)
            loop.close()


async def _cancel_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
