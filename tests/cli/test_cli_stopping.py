"""What signals do that come when a run is over, and how several cycles come to one exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from spotdeploy.cli.stopping import SIGNALS, StopSignals
from spotdeploy.run.verdict import worst


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def ends_at_once() -> None:
    return None


async def stopped_by(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    await asyncio.sleep(60)


@pytest.mark.parametrize("late", SIGNALS)
def test_a_signal_after_the_end_of_a_stopped_run_changes_nothing(late: signal.Signals) -> None:
    with StopSignals(remedy=None) as signals, pytest.raises(asyncio.CancelledError):
        asyncio.run(signals.until_stopped(stopped_by(signal.SIGTERM), lambda _: None))
    os.kill(os.getpid(), late)
    assert signals.heard


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_while_reports_are_written_is_heard_and_breaks_nothing(
    number: signal.Signals,
) -> None:
    with StopSignals(remedy=None) as signals:
        asyncio.run(signals.until_stopped(ends_at_once(), lambda _: None))
        os.kill(os.getpid(), number)
    assert signals.heard


def test_what_was_not_stopped_leaves_the_handlers_as_they_were() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSignals(remedy=None) as signals:
        asyncio.run(signals.until_stopped(ends_at_once(), lambda _: None))
    assert not signals.heard
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize(
    ("codes", "whole"), [([0, 4, 130], 4), ([1, 130], 130), ([0, 1, 3], 3), ([0, 2], 2), ([], 0)]
)
def test_a_leak_outranks_a_stop_and_a_stop_what_failed(codes: list[int], whole: int) -> None:
    assert worst(codes) == whole
