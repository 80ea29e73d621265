"""What the doctor finds."""

from __future__ import annotations

import pytest

from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab, catalogue
from tests.providers.gcp.conftest import MakeProvider


def test_a_healthy_project_has_no_problems(provider: GcpProvider) -> None:
    assert provider.doctor() == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"project": "other-project"}, "'projects/other-project' was not found"),
        ({"network": "absent"}, "networks/absent' was not found"),
        ({"sizes": ["z9-huge"]}, "z9-huge is not sold"),
        ({"image": "absent"}, "image 'absent'"),
        ({"zones": ["europe-west4-a"]}, "none of provider.gcp.zones"),
        ({"endpoint": "http://127.0.0.1:9"}, "cannot reach"),
        ({"endpoint": "ftp://x"}, "not an http"),
        ({"credentials": "/absent"}, "not a service account's key"),
    ],
)
def test_what_would_stop_a_run_is_fatal_and_has_a_remedy(
    make: MakeProvider, table: dict[str, object], message: str
) -> None:
    (problem, *_) = make(**table).doctor()
    assert problem.fatal
    assert message in problem.what
    assert problem.remedy


def test_a_size_that_is_missing_beside_others_is_a_warning(make: MakeProvider) -> None:
    (problem,) = make(sizes=["e2-small", "z9-huge"]).doctor()
    assert not problem.fatal


def test_a_used_up_quota_is_named_with_both_numbers(
    provider: GcpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = catalogue.regions(catalogue.PROJECT)
    full["us-central1"]["quotas"][0] = {"metric": "CPUS", "limit": 8.0, "usage": 8.0}
    monkeypatch.setattr(catalogue, "regions", lambda project: full)
    (problem,) = provider.doctor()
    assert problem.what == "quota CPUS of us-central1 is used up: 8 of 8"


def test_an_unknown_region_is_reported_with_googles_message(make: MakeProvider) -> None:
    problems = make("mars-north1").doctor()
    assert "regions/mars-north1' was not found" in problems[0].what


def test_the_doctor_makes_nothing(provider: GcpProvider, lab: GcpLab) -> None:
    provider.doctor()
    assert {request.split()[0] for request in lab.requests} == {"GET"}
