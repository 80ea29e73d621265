"""A check of the doctor's that raises has found a problem."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Problem
from spotdeploy_libcloud.doctor import problems_of


def test_what_a_check_finds_is_given_as_it_is() -> None:
    found = [Problem("full", "make room")]
    assert problems_of(lambda: found) == found


def test_a_check_that_raises_has_found_a_problem_with_the_hint_as_its_remedy() -> None:
    def check() -> Iterator[Problem]:
        yield Problem("full", "make room")
        raise ProviderError("no way in", hint="knock")

    assert problems_of(check) == [Problem("no way in", "knock")]


def test_a_problem_has_a_remedy_even_without_a_hint() -> None:
    def check() -> Iterator[Problem]:
        raise ProviderError("no way in")

    (problem,) = problems_of(check)
    assert problem.remedy


def test_a_cloud_that_asks_to_slow_down_is_no_problem_yet() -> None:
    def check() -> Iterator[Problem]:
        yield Problem("full", "make room")
        raise ThrottledError("one moment")

    with pytest.raises(ThrottledError):
        problems_of(check)
