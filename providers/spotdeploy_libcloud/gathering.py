"""One call for several threads that want the same answer at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")
WINDOW: Final = 0.02
"""Seconds for which a call waits for others who want the same."""


class Gathering:
    """Shares answers. None is older than the question: whoever asks when the call has begun is part
    of the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathering: dict[Hashable, Future[Any]] = {}

    def ask(self, what: Hashable, call: Callable[[], T]) -> T:
        """What `call` returns, made once for all who ask for the same `what` within `WINDOW`.

        Blocks. Raises what the call raises, for each of them.
        """
        with self._lock:
            answer: Future[T] | None = self._gathering.get(what)
            leads = answer is None
            answer = self._gathering.setdefault(what, Future())
        if leads:
            time.sleep(WINDOW)
            with self._lock:
                del self._gathering[what]
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001  # whoever waits for the answer gets it
                answer.set_exception(error)
        return answer.result()
