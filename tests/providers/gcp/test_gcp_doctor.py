"""What the doctor finds."""

from __future__ import annotations

import pytest

from spotdeploy.model import MarketPolicy, Pool
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab, catalogue
from tests.providers.gcp.conftest import MakeProvider, batch, offer


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


@pytest.fixture
def eight_cpus_used(monkeypatch: pytest.MonkeyPatch) -> None:
    full = catalogue.regions(catalogue.PROJECT)
    full["us-central1"]["quotas"][0] = {"metric": "CPUS", "limit": 8.0, "usage": 8.0}
    monkeypatch.setattr(catalogue, "regions", lambda project: full)


@pytest.mark.usefixtures("eight_cpus_used")
def test_a_quota_is_held_against_count_and_size(provider: GcpProvider) -> None:
    (problem,) = provider.objections(Pool(3), batch(3))
    expected = "quota CPUS of us-central1 has room for 0 of 8, and this run needs 6"
    assert (problem.what, problem.fatal) == (expected, True)
    assert "ask for fewer or smaller nodes" in problem.remedy


@pytest.mark.usefixtures("eight_cpus_used")
def test_what_our_own_nodes_use_counts_as_free(provider: GcpProvider) -> None:
    provider.create(offer(), batch(3))
    assert provider.objections(Pool(3), batch(3)) == []
    (problem,) = provider.objections(Pool(4), batch(4))
    assert "has room for 6 of 8, and this run needs 8" in problem.what


@pytest.mark.usefixtures("eight_cpus_used")
def test_a_lack_is_a_warning_while_another_region_or_market_may_do(make: MakeProvider) -> None:
    two = make(regions=["us-central1", "europe-west4"])
    (problem,) = two.objections(Pool(3), batch(3))
    assert not problem.fatal
    assert "this run needs 4" in problem.what
    both = MarketPolicy.SPOT_THEN_ON_DEMAND
    (problem,) = make().objections(Pool(3, both), batch(3))
    assert not problem.fatal


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"labels": {"Team": "edge"}}, "does not take 'Team' = 'edge'"),
        ({"labels": {"team": "Edge 1"}}, "does not take 'team' = 'Edge 1'"),
        ({"labels": {f"k{n}": "" for n in range(64)}}, "has 64 labels"),
        ({"image": catalogue.BIG}, "root_volume_gb is 16, and image big-v1 needs 40"),
        ({"address": "private"}, 'allow_from is needed when provider.gcp.address is "private"'),
        ({"address_service": "http://127.0.0.1:9"}, "cannot ask http://127.0.0.1:9"),
    ],
)
def test_what_google_would_refuse_of_a_batch_is_known_before(
    make: MakeProvider, lab: GcpLab, table: dict[str, object], message: str
) -> None:
    (problem,) = make(**table).objections(Pool(1), batch())
    assert problem.fatal
    assert message in problem.what
    assert problem.remedy
    assert {request.split()[0] for request in lab.requests} <= {"GET"}


def test_labels_in_other_scripts_are_taken(make: MakeProvider) -> None:
    assert make(labels={"équipe": "größe_1-x", "empty": ""}).objections(Pool(1), batch()) == []


def test_an_unknown_region_is_reported_with_googles_message(make: MakeProvider) -> None:
    problems = make("mars-north1").doctor()
    assert "regions/mars-north1' was not found" in problems[0].what


def test_the_doctor_makes_nothing(provider: GcpProvider, lab: GcpLab) -> None:
    provider.doctor()
    assert {request.split()[0] for request in lab.requests} == {"GET"}
