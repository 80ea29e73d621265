"""How a call to the fake cloud goes: recorded, refused, slowed, cut, or answered."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from spotdeploy.errors import CredentialsError, LostReplyError, ProviderError, ThrottledError
from spotdeploy.testing.clock import Clock
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault, Script
from spotdeploy.testing.fake.machine import CallRecord, CloudState, End
from spotdeploy.testing.fake.store import Store

T = TypeVar("T")
Effect = Callable[[CloudState, Script, float], T]
"""What a call does: it gets the state, the faults and the time (Unix seconds)."""
LOG_LENGTH: Final = 500


class Dispatch:
    """Where calls arrive."""

    def __init__(
        self, store: Store, clock: Clock, script: Iterable[AnyFault], crash: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._extra = tuple(script)
        self._crash = crash

    def call(self, name: faults.Call, location: str, effect: Effect[T], detail: str = "") -> T:
        """Make a call. Raises what its faults say, and any ProviderError of its effect."""
        self._delay(name)
        with self._store.transaction() as state:
            script, now = self._scripted(state), self._clock.now()
            outcome = _outcome(state, script, now, name, location, effect)
            error = type(outcome).__name__ if isinstance(outcome, ProviderError) else ""
            _record(state, name, location, now, detail, error)
            crash = script.hits(faults.Crash, lambda c: not c.before and c.call in ("any", name))
            lost = script.on_call(faults.LostReply, name)
        if isinstance(outcome, ProviderError):
            raise outcome
        if crash:
            self._crash()
        if lost:
            raise LostReplyError(f"no answer to {name} within the time limit", code="Timeout")
        return outcome

    def _delay(self, name: faults.Call) -> None:
        with self._store.transaction() as state:
            script = self._scripted(state)
            crash = script.hits(faults.Crash, lambda c: c.before and c.call in ("any", name))
            bug = script.on_call(faults.Bug, name)
            pause = sum(slow.seconds for slow in script.on_call(faults.SlowCall, name))
        if crash:
            self._crash()
        if pause:
            self._clock.sleep(pause)
        if bug:
            raise RecursionError("maximum recursion depth exceeded")

    def _scripted(self, state: CloudState) -> Script:
        return Script([*state.faults, *self._extra], state.matched)


def kill_this_process() -> None:
    """End the process at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def _outcome(
    state: CloudState,
    script: Script,
    now: float,
    name: faults.Call,
    location: str,
    effect: Effect[T],
) -> T | ProviderError:
    if refusal := _refusal(script, name):
        return refusal
    for fault in script.on_call(faults.InterruptionAt, name):
        here = (m for m in state.machines.values() if m.location == location and m.exists(now))
        for machine, _ in zip(list(here), range(fault.nodes), strict=False):
            state.change(machine, end=End(now, fault.ending))
    try:
        return effect(state, script, now)
    except ProviderError as error:
        return error


def _refusal(script: Script, name: faults.Call) -> ProviderError | None:
    if script.on_call(faults.ExpiredCredentials, name):
        return CredentialsError("the token has expired", code="ExpiredToken")
    if script.on_call(faults.Throttled, name):
        return ThrottledError("too many requests, slow down", code="RequestLimitExceeded")
    if script.on_call(faults.Outage, name):
        return ProviderError("internal error, try again later", code="InternalError")
    return None


def _record(
    state: CloudState, name: str, location: str, now: float, detail: str, error: str
) -> None:
    state.counts[name] = state.counts.get(name, 0) + 1
    number = sum(state.counts.values())
    record = CallRecord(
        number=number, name=name, location=location, at=now, detail=detail, error=error
    )
    state.calls = [*state.calls, record][-LOG_LENGTH:]
