"""The page of the fault campaign is of the cases that there are."""

from __future__ import annotations

from tests.faults.campaign import PAGE, rows
from tests.faults.catalogue import CASES, REFUSALS, ROWS


def test_the_page_has_every_case_and_each_passed() -> None:
    page = PAGE.read_text("utf-8")
    lines = rows(page)
    assert sorted(row[:2] for row in lines) == sorted(ROWS)
    assert {row[4] for row in lines} == {"0"}
    assert "(failed)" not in page
    played = len(CASES) + len(REFUSALS)
    assert f"**{played} cases, {played} passed, 0 things leaked.**" in page
