"""The arithmetic of money."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.run.cost import (
    Cost,
    PaidTime,
    by_provider,
    estimate,
    seconds_left,
    spell_usd,
    total,
)


def test_a_cost_is_seconds_times_rate_summed() -> None:
    cost = total([PaidTime("aws", 1800, 0.1), PaidTime("aws", 3600, 0.2)])
    assert cost == Cost(pytest.approx(0.25), 5400, 2, 0)  # type: ignore[arg-type]  # approximately
    assert str(cost) == "$0.2500"


def test_an_unknown_rate_makes_a_lower_bound_and_is_never_free() -> None:
    assert str(total([PaidTime("aws", 3600, 1.0), PaidTime("gcp", 3600, None)])) == "at least $1.00"
    assert str(total([PaidTime("gcp", 3600, None)])) == "unknown"
    assert str(total([PaidTime("local", 3600, 0.0)])) == "free"
    assert str(total([])) == "nothing"


def test_costs_are_told_apart_by_provider() -> None:
    costs = by_provider(
        [PaidTime("aws", 3600, 1.0), PaidTime("gcp", 60, 0.0), PaidTime("aws", 3600, 1.0)]
    )
    assert list(costs) == ["aws", "gcp"]
    assert costs["aws"].usd == pytest.approx(2.0)


def test_an_estimate_is_rate_times_the_time_of_past_cycles() -> None:
    expected = estimate(3, {"aws": 0.5, "local": 0.0}, {"aws": 720.0, "local": None})
    assert expected is not None
    assert expected.usd == pytest.approx(3 * 0.5 * 0.2)
    assert expected.nodes == 6


@pytest.mark.parametrize(("rate", "seconds"), [(0.5, None), (None, 60.0), (None, None)])
def test_without_a_rate_or_a_past_there_is_no_estimate(
    rate: float | None, seconds: float | None
) -> None:
    assert estimate(1, {"aws": rate}, {"aws": seconds}) is None


def test_nodes_that_cost_nothing_may_run_for_ever() -> None:
    assert seconds_left(0.0, [0.0, 0.0], 1.0, 60.0) == math.inf


@given(
    spent=st.floats(0, 10),
    cap=st.floats(0.01, 10),
    reserve=st.floats(0, 600),
    rates=st.lists(st.floats(0.001, 50), min_size=1, max_size=20),
)
def test_what_is_left_and_the_reserve_never_pass_the_cap(
    spent: float, cap: float, reserve: float, rates: list[float]
) -> None:
    left = seconds_left(spent, rates, cap, reserve)
    assert left >= 0
    if left > 0:
        assert spent + sum(rates) / 3600 * (left + reserve) <= cap * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "free"),
        (0.00012, "$0.00012"),
        (0.0000012, "$1.2e-06"),
        (0.5, "$0.5000"),
        (1234.5, "$1,234.50"),
    ],
)
def test_amounts_are_spelled_for_people(usd: float, text: str) -> None:
    assert spell_usd(usd) == text
