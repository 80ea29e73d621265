"""How long a test of the contract may take, and when there is no point in trying more of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import pytest


@dataclass
class Patience:
    """How much of the computer's time the tests of one class have lost by waiting in vain."""

    lost: float = 0.0
    """Seconds."""

    def lose(self, seconds: float) -> None:
        """Count a wait that was in vain."""
        self.lost += seconds

    def skip_when_over(self, limit: float) -> None:
        """Skip the present test once `limit` seconds are lost, so that a provider that is wrong
        in everything ends fast."""
        if self.lost >= limit:
            pytest.skip(f"not tried: failed tests have waited {self.lost:.0f}s (Facts.test_within)")


@contextmanager
def bounded(seconds: float, what: str, patience: Patience) -> Iterator[None]:
    """Fail the test where it stands once this took so long by the computer's clock, even within a
    call that never returns. Bounds may be nested: an outer one stands still meanwhile.

    Signals reach the main thread alone; elsewhere nothing is bounded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, frame: FrameType | None) -> None:
        del frame
        patience.lose(seconds)
        pytest.fail(f"{what} is not done after {seconds:.0f}s (Facts.test_within)")

    handler = signal.signal(signal.SIGALRM, end)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, interval)
