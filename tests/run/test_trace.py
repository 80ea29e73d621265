"""Where the traces of what nobody awaits go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from spotdeploy.run.trace import TRACES, loop_traced
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


def broken() -> None:
    raise AttributeError("the transport is gone")


async def test_a_callback_that_raises_is_told_in_the_file_of_traces_and_not_on_the_screen(
    fake_project: FakeProjects, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = fake_project().run
    with loop_traced(run):
        asyncio.get_running_loop().call_soon(broken)
        await asyncio.sleep(0)
    kept = (run.folder / TRACES).read_text("utf-8")
    assert "AttributeError: the transport is gone" in kept
    assert "test_trace.py" in kept
    assert capfd.readouterr().err == ""
    assert caplog.records == []


async def test_what_asyncio_tells_without_an_exception_is_kept_too(
    fake_project: FakeProjects,
) -> None:
    run = fake_project().run
    with loop_traced(run):
        asyncio.get_running_loop().call_exception_handler({"message": "socket.send() raised"})
    assert "socket.send() raised" in (run.folder / TRACES).read_text("utf-8")


async def test_the_loop_of_the_caller_is_left_as_it_was(fake_project: FakeProjects) -> None:
    with loop_traced(fake_project().run):
        pass
    assert asyncio.get_running_loop().get_exception_handler() is None
