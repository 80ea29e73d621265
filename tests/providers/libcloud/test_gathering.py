"""One call for several threads that want the same answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotdeploy.errors import ThrottledError
from spotdeploy_libcloud.gathering import Gathering


def at_once(count: int, ask: Callable[[], object]) -> list[object]:
    """What `ask` returns in that many threads that begin together."""
    together = threading.Barrier(count)

    def one(_: int) -> object:
        together.wait()
        return ask()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_who_asks_at_once_gets_one_answer() -> None:
    gathering, numbers = Gathering(), itertools.count()
    assert set(at_once(8, lambda: gathering.ask("x", lambda: next(numbers)))) == {0}


def test_who_asks_while_the_call_is_under_way_gets_a_new_one() -> None:
    gathering = Gathering()
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        goes_on.wait(10)
        return "old"

    with ThreadPoolExecutor() as threads:
        first = threads.submit(gathering.ask, "x", slow)
        begun.wait(10)
        assert gathering.ask("x", lambda: "new") == "new"
        goes_on.set()
        assert first.result() == "old"


def test_other_questions_have_other_answers() -> None:
    gathering = Gathering()
    assert [gathering.ask(what, lambda what=what: what) for what in "ab"] == ["a", "b"]  # type: ignore[misc]


def test_each_gets_the_error_and_the_next_call_is_another() -> None:
    gathering = Gathering()

    def fail() -> None:
        raise ThrottledError("later")

    def ask() -> str:
        with pytest.raises(ThrottledError):
            gathering.ask("x", fail)
        return "raised"

    assert at_once(3, ask) == ["raised"] * 3
    assert gathering.ask("x", lambda: 1) == 1
