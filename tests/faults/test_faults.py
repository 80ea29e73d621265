"""After every fault: the right verdict, no traceback, no secret told, and nothing left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.case import Case
from tests.faults.catalogue import CASES, REFUSALS
from tests.faults.outcome import run_case


def marked(case: Case) -> object:
    marks = [] if case.quick else [pytest.mark.campaign]
    marks += [pytest.mark.machines] if case.machines else []
    return pytest.param(case, id=case.id, marks=marks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_nothing_leaks_and_nothing_lies_after(
    case: Case,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    with case.opened(tmp_path, request) as testbed:
        result = run_case(case, testbed)
    record_property("family", str(case.family))  # xdist sends plain text only
    record_property("where", case.where)
    record_property("fault", case.row or case.fault)
    record_property("case", case.id)
    record_property("ended", result.ended)
    record_property("after", f"{case.then}: {result.after}")
    record_property("left", result.left)
    if result.problems:
        pytest.fail("\n".join(result.problems), pytrace=False)


def test_no_two_cases_are_the_same() -> None:
    ids = [*(case.id for case in CASES), *(case.id for case in REFUSALS)]
    assert len(ids) == len(set(ids))


def test_the_campaign_has_at_least_200_distinct_cases() -> None:
    assert len(CASES) >= 200
