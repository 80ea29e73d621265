"""How signals stop a run: the first one cleanly, a person's second Ctrl-C at once.

CI runners send SIGINT, some seconds later SIGTERM, and then kill. Their SIGTERM is no second wish.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, NoReturn, Self, TypeVar

from spotdeploy.model import Verdict

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RUNNERS_PAUSE: Final = 10.0
"""Seconds after the first signal in which one of another kind says the same thing again. GitHub's
and Azure's runners take 7.5: https://github.com/actions/runner/issues/1309"""
STOPPING: Final = "Stopping: nodes end by policy; press Ctrl-C again to stop at once."
ENDING: Final = "Stopping: what was made is destroyed first."
_SHOW_CURSOR: Final = "\x1b[?25h"
T = TypeVar("T")


class StopSignals:
    """Takes the signals from the beginning of a command to the end of its reports. A context
    manager, in the main thread.

    Once one was heard the process is about to end: those that come later are left unheard, so that
    they change no exit code.
    """

    def __init__(self, remedy: str | None) -> None:
        """`remedy` is the command to try after a stop at once; without one there is none."""
        self._remedy = remedy
        self._before: dict[signal.Signals, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], object] = lambda: None
        self._first = 0.0
        self._interrupted = False

    def __enter__(self) -> Self:
        ours = [
            number
            for number in SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN  # of nohup
        ]
        self._before = {number: signal.signal(number, self._heard) for number in ours}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.heard else handler)

    @property
    def heard(self) -> bool:
        """Whether a signal asked to stop."""
        return self._first > 0

    async def until_stopped(self, work: Coroutine[None, None, T], say: Callable[[str], None]) -> T:
        """Await the work. The first signal cancels it, and is told by `say`."""
        task = asyncio.create_task(work)

        def stop() -> None:
            say(STOPPING if self._remedy else ENDING)
            task.cancel()

        self._stop, self._loop = stop, asyncio.get_running_loop()
        try:
            return await task
        finally:
            self._stop = lambda: None  # what is left are reports

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """Python calls it between any two instructions, so that it writes nothing itself."""
        del frame
        now, interrupt = time.monotonic(), number == signal.SIGINT
        if self._loop is None:
            raise KeyboardInterrupt  # nothing was begun
        if not self.heard:
            self._first, self._interrupted = now, interrupt
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stop)
        elif self._remedy and (
            (interrupt and self._interrupted) or now - self._first > RUNNERS_PAUSE
        ):
            self._leave()
        self._interrupted |= interrupt

    def _leave(self) -> NoReturn:
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        text = f"{cursor}stopped at once; nodes may be left\ntry: {self._remedy}\n"
        try:
            os.write(2, text.encode(errors="replace"))
        finally:
            os._exit(Verdict.STOPPED.exit_code)
