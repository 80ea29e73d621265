"""Cells as GitHub Actions makes its jobs, and what they are called."""

from __future__ import annotations

import itertools
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.config.schema import Name
from spotdeploy.matrix.cells import Cell, Value, combine, equal, is_cell_of, name_cells

LABEL = re.compile(r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")


def values(
    axes: dict[str, list[Value]],
    include: list[dict[str, Value]] | None = None,
    exclude: list[dict[str, Value]] | None = None,
) -> list[dict[str, Value]]:
    return [dict(one.values) for one in combine(axes, include or [], exclude or [])]


def names(deployment: str, axes: dict[str, list[Value]]) -> list[str]:
    return [cell.name for cell in name_cells(deployment, combine(axes, [], []))]


def test_the_first_axis_changes_last() -> None:
    assert values({"tea": ["green", "black"], "cup": [1, 2]}) == [
        {"tea": "green", "cup": 1},
        {"tea": "green", "cup": 2},
        {"tea": "black", "cup": 1},
        {"tea": "black", "cup": 2},
    ]


def test_an_include_adds_to_what_it_matches_and_replaces_only_what_another_added() -> None:
    found = values(
        {"city": ["oslo", "rome"], "mode": ["rail", "road"]},
        include=[
            {"speed": "slow"},
            {"mode": "rail", "speed": "fast"},
            {"city": "oslo", "snow": True},
            {"city": "bonn"},
            {"city": "bonn", "mode": "rail"},
        ],
    )
    assert found == [
        {"city": "oslo", "mode": "rail", "speed": "fast", "snow": True},
        {"city": "oslo", "mode": "road", "speed": "slow", "snow": True},
        {"city": "rome", "mode": "rail", "speed": "fast"},
        {"city": "rome", "mode": "road", "speed": "slow"},
        {"city": "bonn"},
        {"city": "bonn", "mode": "rail"},
    ]


def test_without_axes_each_include_is_a_cell() -> None:
    assert values({}, include=[{"site": "live"}, {"site": "trial", "x": 1}]) == [
        {"site": "live"},
        {"site": "trial", "x": 1},
    ]


def test_an_exclude_is_a_partial_match_and_an_include_brings_back_what_one_took() -> None:
    axes: dict[str, list[Value]] = {"os": ["deb", "rpm"], "py": [3, 4]}
    assert values(axes, exclude=[{"os": "rpm"}, {"os": "deb", "py": 4}]) == [{"os": "deb", "py": 3}]
    assert values(axes, include=[{"os": "rpm", "py": 4}], exclude=[{"os": "rpm"}])[-1] == {
        "os": "rpm",
        "py": 4,
    }


def test_an_include_that_is_there_already_adds_nothing() -> None:
    assert values({"os": ["deb", "rpm"]}, include=[{"os": "DEB"}]) == [{"os": "deb"}, {"os": "rpm"}]


def test_where_everything_is_excluded_an_include_of_no_axis_is_a_cell_of_its_own() -> None:
    assert values({"os": ["deb"]}, include=[{"extra": 1}], exclude=[{"os": "deb"}]) == [
        {"extra": 1}
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Debian", "debian", True),
        ("3", 3, True),
        ("0x3", 3, False),
        (True, "true", False),
        (True, 1, True),
        (False, "", True),
        ("3.0", 3, True),
        ("3.0", "3", False),
        ("three", 3, False),
    ],
)
def test_values_are_compared_as_github_does(one: Value, other: Value, same: bool) -> None:
    assert equal(one, other) is same
    assert equal(other, one) is same


def test_a_name_is_of_the_deployment_and_the_values_whatever_else_there_is() -> None:
    few = names("demo", {"python": ["3.12"], "image": ["debian-13"]})
    many = names("demo", {"image": ["ubuntu", "debian-13"], "python": ["3.11", "3.12"]})
    assert few == ["demo-debian-13-3-12"]
    assert set(few) < set(many)


def test_what_an_include_adds_renames_no_cell() -> None:
    made = combine({"python": ["3.11", "3.12"]}, [{"python": "3.12", "slow": True}], [])
    assert [one.name for one in name_cells("demo", made)] == ["demo-3-11", "demo-3-12"]


def test_values_that_would_have_one_name_have_two() -> None:
    found = names("demo", {"python": ["3.11", "3-11", "3.12"]})
    assert len(set(found)) == 3
    assert found[2] == "demo-3-12"
    assert all(name.startswith("demo-3-11-") for name in found[:2])


def test_a_value_of_no_letter_still_makes_a_cell_apart_from_the_deployment() -> None:
    (name,) = names("demo", {"sign": ["+"]})
    assert name != "demo"
    assert LABEL.fullmatch(name)


words = st.text(max_size=50) | st.integers() | st.booleans()


@given(
    deployment=st.from_regex(LABEL, fullmatch=True),
    axes=st.dictionaries(
        st.text(min_size=1, max_size=9),
        st.lists(words, min_size=1, max_size=4, unique_by=lambda v: (type(v), v)),
        min_size=1,
        max_size=3,
    ),
)
def test_names_are_valid_and_unique(deployment: str, axes: dict[str, list[Value]]) -> None:
    found = names(deployment, axes)
    assert len(set(found)) == len(found)
    assert all(LABEL.fullmatch(name) for name in found)
    assert deployment not in found
    assert all(is_cell_of(deployment, name) for name in found)
    again = names(deployment, dict(reversed(axes.items())))
    assert set(again) == set(found)


def test_the_pattern_here_is_that_of_the_config() -> None:
    assert LABEL.pattern == get_args(Name)[1].pattern


def test_a_cell_says_its_values() -> None:
    cell = Cell("demo-x", {"python": "3.12", "slow": True})
    assert str(cell) == "python=3.12 slow=true"


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)), max_size=4))
def test_no_original_value_is_ever_replaced(include: list[dict[str, Value]]) -> None:
    axes: dict[str, list[Value]] = {"a": [0, 1], "b": [0, 1]}
    found = values(axes, include=[one for one in include if one])
    original = [dict(zip("ab", some, strict=True)) for some in itertools.product((0, 1), (0, 1))]
    assert found[:4] == original
