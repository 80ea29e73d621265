"""The page of the fault campaign is of the cases that there are."""

from __future__ import annotations

from tests.faults.campaign import PAGE, rows
from tests.faults.catalogue import CASES


def test_the_page_has_every_case_and_each_passed() -> None:
    page = PAGE.read_text("utf-8")
    played = rows(page)
    assert sorted(row[:2] for row in played) == sorted((c.where, c.fault) for c in CASES)
    assert {row[4] for row in played} == {"0"}
    assert "(failed)" not in page
    assert f"**{len(CASES)} cases, {len(CASES)} passed, 0 things leaked.**" in page
