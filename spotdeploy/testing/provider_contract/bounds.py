"""How long a test of the contract may take, and when there is no point in trying more of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import pytest

from spotdeploy.testing.pytest_plugin import NOT_TRIED


@dataclass
class Patience:
    """How much of the computer's time the tests of one class have lost by waiting in vain, and why
    there is no point in trying more of them."""

    lost: float = 0.0
    """Seconds."""
    awaited: str = ""
    """What is being waited for now, as words that complete "waiting for it to"."""
    first: str = ""
    """The first wait that was in vain."""
    hopeless: str = ""
    """Why no test can pass."""

    def lose(self, seconds: float, what: str) -> None:
        """Count a wait for something that was in vain."""
        self.lost += seconds
        self.first = self.first or what

    def skip_when_over(self, limit: float) -> None:
        """Skip the present test once `limit` seconds are lost, so that a provider that is wrong
        in everything ends fast."""
        if self.hopeless:
            pytest.skip(NOT_TRIED + self.hopeless)
        if self.lost >= limit:
            pytest.skip(
                f"{NOT_TRIED}failed tests have waited {self.lost:.0f}s (Facts.test_within),"
                f" first {self.first}"
            )


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
        waiting = f", waiting for it to {patience.awaited}" if patience.awaited else ""
        patience.lose(seconds, f"{what}{waiting}")
        pytest.fail(f"{what} is not done after {seconds:.0f}s (Facts.test_within){waiting}")

    patience.awaited = ""
    handler = signal.signal(signal.SIGALRM, end)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, interval)
