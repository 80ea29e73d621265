"""Ids of runs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.state.ids import began_at, new_run_id

NOON = 1_795_000_000.0


@given(st.floats(0, 4e9), st.floats(0.001, 1e6))
def test_a_later_runs_id_sorts_later_within_a_second_too(at: float, after: float) -> None:
    assert new_run_id(at) < new_run_id(at + after)


def test_runs_that_follow_each_other_at_once_are_in_order() -> None:
    ids = [new_run_id(NOON + step / 100) for step in range(300)]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_two_runs_of_one_moment_have_ids_of_their_own() -> None:
    assert len({new_run_id(NOON) for _ in range(20)}) > 10


@pytest.mark.parametrize("at", [0.0, NOON, NOON + 0.999999])
def test_an_id_says_when_its_run_began(at: float) -> None:
    assert began_at(new_run_id(at)) == float(int(at))
