"""The page of the fault campaign is of cases that there are, and of nothing that failed."""

from __future__ import annotations

import re

from tests.faults.campaign import PAGE, Line, render, rows
from tests.faults.catalogue import ROWS


def test_each_line_of_the_page_is_a_case_that_passed() -> None:
    page = PAGE.read_text("utf-8")
    lines = rows(page)
    assert lines
    assert {row[:2] for row in lines} <= set(ROWS)
    assert {row[4] for row in lines} == {"0"}
    assert "(failed)" not in page
    total = re.search(r"\*\*(\d+) cases, (\d+) passed, 0 things leaked\.\*\*", page)
    assert total
    assert total[1] == total[2]


def test_cases_that_share_a_line_are_counted_in_it_and_one_that_failed_is_named() -> None:
    def line(seed: int, ended: str, left: int = 0, trouble: str = "") -> Line:
        where, fault = "gcp lab", "kill -9 at a random moment, 60 seeds"
        family, case = "Killed at random moments", f"seed{seed}"
        return Line(family, where, fault, case, ended, "destroy: passed", left, trouble)

    good = [line(1, "killed"), line(2, "leaked"), line(3, "killed")]
    (row,) = rows(render(good))
    assert row[2:] == ("killed (2), leaked (1)", "destroy: passed (3)", "0")
    page = render([*good, line(4, "killed", 1, "disk-1 is left")])
    assert "**4 cases, 3 passed, 1 things leaked.**" in page
    assert "more were not played in this run." in page
    (row,) = rows(page)
    assert row[2] == "killed (3), leaked (1) **(failed)**"
    assert row[4] == "1"
