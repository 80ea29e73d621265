"""Patience with clouds: the one rule by which the calls of providers are repeated.

A call that is refused with ThrottledError is made again after a pause, until a deadline. Pauses
grow and have jitter, so that many callers do not come back at the same moment
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from spotdeploy.errors import ThrottledError

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
PATIENCE: Final = 120.0
"""Seconds for which a call is repeated. Longer than a minute: quotas of calls a minute
(https://cloud.google.com/compute/api-quota) are full again by then."""
LONGEST_WAIT: Final = 1800.0
"""Seconds that a run waits at most because a cloud asks for it. The time of a phase that has one
is over sooner."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
"""Seconds between two tries, before jitter, when the cloud names no time."""


class Patience:
    """The pauses between the tries of one call."""

    def __init__(self, longest_wait: float = 0.0) -> None:
        """Begin now. `longest_wait` is how many seconds a pause may last that the cloud itself
        asks for, even past the deadline."""
        self._deadline = time.monotonic() + PATIENCE
        self._longest_wait = longest_wait
        self._pause = FIRST_PAUSE

    def pause(self, error: ThrottledError) -> float:
        """How many seconds to wait before the call is made again: at least as long as the cloud
        asks for, and else never past the deadline.

        Raises `error` when patience is over, or ends before the cloud wants to be asked again.
        """
        left = self._deadline - time.monotonic()
        asked = error.retry_after or 0.0
        if left <= 0 or asked > max(left, self._longest_wait):
            raise error
        import random

        jitter = random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        own, self._pause = self._pause * jitter, min(2 * self._pause, LONGEST_PAUSE)
        return min(asked + own, max(asked, left))


def ask(call: Callable[[], T], wait: Callable[[float], object] = time.sleep) -> T:
    """What a call of a provider returns, made with patience. `wait` waits for seconds.

    Blocks. Raises what the call raises in the end.
    """
    patience = Patience()
    while True:
        try:
            return call()
        except ThrottledError as error:
            seconds = patience.pause(error)
        wait(seconds)


def ask_all(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each call returns, in their order. They are made at the same time, with patience.

    Blocks; Ctrl-C ends that at once, whatever the calls are at. Raises what the first call that
    fails raises in the end; the others are left to themselves then.
    """
    if len(calls) == 1:
        return [ask(calls[0])]
    from concurrent.futures import CancelledError

    over = threading.Event()

    def wait(seconds: float) -> None:
        if over.wait(seconds):
            raise CancelledError

    answers = [_in_thread(partial(ask, call, wait)) for call in calls]
    try:
        return [answer.result() for answer in answers]
    finally:
        over.set()


def _in_thread(work: Callable[[], T]) -> Future[T]:
    """Do it in a thread that keeps no process alive."""
    from concurrent.futures import Future

    answer: Future[T] = Future()

    def do() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  # whoever waits for the answer gets it
            answer.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return answer
