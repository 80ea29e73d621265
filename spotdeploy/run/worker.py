"""A thread for calls that may never be answered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Worker(Executor):
    """An executor of one thread: calls are made one after the other.

    The process does not wait for it when it exits, as it would for a ThreadPoolExecutor: a call
    that is never answered would keep it for ever.
    """

    def __init__(self, name: str) -> None:
        """`name` is the thread's, which begins with the first call."""
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call it when the calls before are over. To be used from one thread."""
        future: Future[R] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        if self._thread.ident is None:
            self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread once its current call is over, or the last of those that wait."""
        while cancel_futures and not self._calls.empty():
            if (call := self._calls.get()) is not None:
                call[0].cancel()
        self._calls.put(None)
        if wait and self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # the caller's to handle, as in any executor
                future.set_exception(error)
            else:
                future.set_result(result)
