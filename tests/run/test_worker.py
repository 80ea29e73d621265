"""The thread that calls of a provider run in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from spotdeploy.run.worker import Worker


async def test_calls_are_made_one_after_the_other_in_one_thread() -> None:
    worker = Worker("fake-here")
    seen: list[tuple[int, str]] = []

    def call(number: int) -> int:
        time.sleep(0.01)
        seen.append((number, threading.current_thread().name))
        return number * 2

    loop = asyncio.get_running_loop()
    answers = await asyncio.gather(*(loop.run_in_executor(worker, call, n) for n in range(5)))
    worker.shutdown()
    assert answers == [0, 2, 4, 6, 8]
    assert seen == [(number, "fake-here") for number in range(5)]


async def test_what_a_call_raises_reaches_the_caller_and_the_next_call_is_made() -> None:
    worker = Worker("w")

    def fail() -> None:
        raise KeyError("zone")

    loop = asyncio.get_running_loop()
    with pytest.raises(KeyError, match="zone"):
        await loop.run_in_executor(worker, fail)
    assert await loop.run_in_executor(worker, abs, -3) == 3
    worker.shutdown()


def test_what_waits_behind_a_call_is_not_called_once_it_is_shut_down() -> None:
    called: list[int] = []
    worker, gate = Worker("w"), threading.Event()
    first = worker.submit(gate.wait, 5.0)
    second = worker.submit(called.append, 1)
    worker.shutdown(wait=False, cancel_futures=True)
    gate.set()
    assert first.result(5.0)
    assert second.cancelled()
    worker.shutdown(wait=True)
    assert called == []


def test_a_call_that_is_never_answered_does_not_keep_the_process() -> None:
    script = """
import time
from spotdeploy.run.worker import Worker
worker = Worker("w")
worker.submit(time.sleep, 300)
worker.shutdown(wait=False, cancel_futures=True)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=20)
    assert done.returncode == 0
