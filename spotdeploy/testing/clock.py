"""Time as the labs see it: the real one, or one that only moves when it is told to."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Unix time in seconds, and a way to let it pass."""

    def now(self) -> float:
        """Unix time in seconds."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SystemClock:
    """The computer's own clock."""

    def now(self) -> float:
        """As in the protocol."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """As in the protocol. Blocks."""
        time.sleep(seconds)


class ManualClock:
    """A clock that stands still until `sleep` moves it; no test ever waits for it."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        """`start` is Unix time in seconds."""
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """As in the protocol."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """As in the protocol. Returns at once."""
        with self._lock:
            self._now += seconds
