"""Calls are repeated until a deadline, with growing pauses, and as long as the cloud asks for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from spotdeploy.errors import CapacityError, ProviderError, ThrottledError
from spotdeploy.patience import LONGEST_PAUSE, PATIENCE, Patience, ask, ask_all
from spotdeploy.testing import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Time that passes in pauses alone."""
    clock = ManualClock()
    monkeypatch.setattr(time, "monotonic", clock.now)
    return clock


class Cloud:
    """Refuses calls for some seconds, and says when to come back or not."""

    def __init__(
        self, clock: ManualClock, seconds: float, retry_after: float | None = None
    ) -> None:
        self._clock = clock
        self._began = clock.now()
        self._seconds = seconds
        self._retry_after = retry_after
        self.tries: list[float] = []

    def call(self) -> str:
        """The answer, or a refusal."""
        self.tries.append(self._clock.now() - self._began)
        if self.tries[-1] >= self._seconds:
            return "the answer"
        error = ThrottledError("slow down", code="RateExceeded")
        error.retry_after = self._retry_after
        raise error


@pytest.mark.parametrize("seconds", [0.0, 3.0, 61.0, 110.0])
def test_a_call_is_repeated_until_it_is_answered(clock: ManualClock, seconds: float) -> None:
    cloud = Cloud(clock, seconds)
    assert ask(cloud.call, clock.sleep) == "the answer"
    assert cloud.tries[-1] <= seconds + LONGEST_PAUSE


def test_patience_lasts_to_its_deadline_and_not_longer(clock: ManualClock) -> None:
    cloud = Cloud(clock, 1e9)
    with pytest.raises(ThrottledError, match="slow down"):
        ask(cloud.call, clock.sleep)
    assert cloud.tries[-1] == pytest.approx(PATIENCE)


def test_pauses_grow_and_no_two_callers_have_the_same(clock: ManualClock) -> None:
    patience = Patience()
    pauses = []
    for _ in range(10):
        pauses.append(patience.pause(ThrottledError("slow down")))
        clock.sleep(pauses[-1])
    assert pauses[0] < 0.5
    assert 0.5 * LONGEST_PAUSE <= pauses[-1] <= LONGEST_PAUSE
    assert len({Patience().pause(ThrottledError("x")) for _ in range(20)}) > 10


def test_a_cloud_that_names_a_time_is_left_alone_until_then(clock: ManualClock) -> None:
    cloud = Cloud(clock, 1e9, retry_after=35.0)
    with pytest.raises(ThrottledError):
        ask(cloud.call, clock.sleep)
    pauses = [later - earlier for earlier, later in zip(cloud.tries, cloud.tries[1:], strict=False)]
    assert len(pauses) == 3
    assert min(pauses) >= 35.0
    assert cloud.tries[-1] <= PATIENCE


def test_a_time_beyond_the_deadline_is_not_waited_for_in_vain(clock: ManualClock) -> None:
    cloud = Cloud(clock, 1e9, retry_after=PATIENCE + 1)
    with pytest.raises(ThrottledError):
        ask(cloud.call, clock.sleep)
    assert cloud.tries == [0.0]


@pytest.mark.parametrize(("retry_after", "answered"), [(590.0, True), (610.0, False)])
def test_a_run_waits_longer_than_that_where_the_cloud_says_so(
    clock: ManualClock, retry_after: float, *, answered: bool
) -> None:
    error = ThrottledError("slow down")
    error.retry_after = retry_after
    patience = Patience(longest_wait=600.0)
    if answered:
        assert patience.pause(error) >= retry_after
    else:
        with pytest.raises(ThrottledError):
            patience.pause(error)


def test_short_times_named_again_and_again_do_not_move_the_deadline(clock: ManualClock) -> None:
    error = ThrottledError("slow down")
    error.retry_after = 5.0
    patience = Patience(longest_wait=600.0)
    began = clock.now()
    with pytest.raises(ThrottledError):  # noqa: PT012  # how often depends on the jitter
        while True:
            clock.sleep(patience.pause(error))
    assert clock.now() - began <= PATIENCE + 5.0


def test_any_other_refusal_is_not_repeated(clock: ManualClock) -> None:
    def refuse() -> None:
        tried.append(1)
        raise CapacityError("none left")

    tried: list[int] = []
    with pytest.raises(CapacityError):
        ask(refuse, clock.sleep)
    assert tried == [1]


def flaky(answer: int) -> Callable[[], int]:
    """A call that is refused once."""
    refusals = [ThrottledError("slow down")]

    def call() -> int:
        if refusals:
            raise refusals.pop()
        return answer

    return call


def test_many_calls_are_answered_in_their_order_each_with_patience() -> None:
    random.seed(7)
    assert ask_all([flaky(3), lambda: 1, flaky(2)]) == [3, 1, 2]
    assert ask_all([]) == []


def test_calls_are_made_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(ask_all([meeting.wait] * 3)) == [0, 1, 2]


def test_one_that_fails_ends_the_patience_of_the_others() -> None:
    def refuse() -> int:
        tried.append(time.monotonic())
        raise ThrottledError("slow down")

    def fail() -> int:
        while not tried:
            time.sleep(0.01)
        raise ProviderError("out of order")

    tried: list[float] = []
    with pytest.raises(ProviderError, match="out of order"):
        ask_all([fail, refuse])
    ended = time.monotonic()
    time.sleep(0.5)
    assert tried[-1] <= ended + 0.1
