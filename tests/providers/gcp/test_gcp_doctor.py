"""What the doctor finds."""

from __future__ import annotations

import pytest

from spotdeploy.model import MarketPolicy, Pool
from spotdeploy.ports import ALL_PORTS
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


def test_ports_between_nodes_that_no_rule_of_ours_opens_are_a_warning(make: MakeProvider) -> None:
    asked = batch(open_between=ALL_PORTS)
    (problem,) = make(firewall=False).objections(Pool(1), asked)
    assert not problem.fatal
    assert "provider.gcp.tags" in problem.remedy
    assert list(make(firewall=False).objections(Pool(1), batch())) == []
    assert list(make().objections(Pool(1), asked)) == []


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


@pytest.mark.parametrize(
    ("table", "message", "remedy"),
    [
        (
            {"network": "custom"},
            "custom is in custom mode",
            "set it; those in us-central1 are inner",
        ),
        ({"network": "custom", "subnetwork": "inne"}, "has no subnetwork inne", "are inner"),
        ({"subnetwork": "inner"}, "network default has no subnetwork inner", "are default"),
        (
            {
                "network": "custom",
                "subnetwork": "projects/lab-project/regions/europe-west4/subnetworks/inner",
            },
            "in us-central1",
            "check provider.gcp.subnetwork",
        ),
        (
            {"zones": ["us-central1-a", "us-central1-z"]},
            "no zone us-central1-z in",
            "us-central1-f",
        ),
        (
            {"zones": ["us-central1-a", "mars-north1-a"]},
            "no zone mars-north1-a in a region",
            "zones",
        ),
        (
            {"sizes": ["c4-standard-2"], "disk_type": "pd-ssd"},
            "c4-standard-2 does not take provider.gcp.disk_type pd-ssd",
            "hyperdisk-balanced",
        ),
        ({"disk_type": "hyperdisk-balanced"}, "e2-small does not take", "set it to pd-balanced"),
    ],
)
def test_what_does_not_go_together_is_refused_before(
    make: MakeProvider, lab: GcpLab, table: dict[str, object], message: str, remedy: str
) -> None:
    (problem,) = make(**table).doctor()
    assert (problem.fatal, problem.exit_code) == (True, 2)
    assert message in problem.what
    assert remedy in problem.remedy
    assert {request.split()[0] for request in lab.requests} <= {"GET"}


def test_a_disk_that_only_some_sizes_take_is_a_warning(make: MakeProvider) -> None:
    (problem,) = make(sizes=["e2-small", "c4-standard-2"], disk_type="pd-ssd").doctor()
    assert not problem.fatal


def test_a_second_factor_at_os_login_is_told_with_the_key_that_helps(
    make: MakeProvider, lab: GcpLab
) -> None:
    lab.cloud.metadata.update({"enable-oslogin": "TRUE", "enable-oslogin-2fa": "TRUE"})
    (problem,) = make().doctor()
    assert (problem.fatal, problem.exit_code) == (True, 2)
    assert "os_login = false" in problem.remedy
    assert make(os_login=False).doctor() == []
    lab.cloud.metadata["enable-oslogin-2fa"] = "FALSE"
    assert make().doctor() == []


@pytest.mark.parametrize("allowed", [["2001:db8::/32"], []])
def test_who_comes_by_ipv6_alone_is_told_that_nodes_have_ipv4(
    make: MakeProvider, monkeypatch: pytest.MonkeyPatch, allowed: list[str]
) -> None:
    monkeypatch.setattr("spotdeploy_libcloud.network.caller_cidr", lambda _: "2001:db8::7/128")
    (problem,) = make().objections(Pool(1), batch(allow_from=tuple(allowed)))
    assert problem.fatal
    assert "nodes have IPv4 addresses, and only 2001:db8:" in problem.what
    assert "nodes.allow_from" in problem.remedy


def with_quotas(monkeypatch: pytest.MonkeyPatch, *quotas: tuple[str, float]) -> None:
    """Let us-central1 have these quotas, by metric and limit, none of them used."""
    regions = catalogue.regions(catalogue.PROJECT)
    found = [{"metric": metric, "limit": limit, "usage": 0.0} for metric, limit in quotas]
    regions["us-central1"]["quotas"] = found
    monkeypatch.setattr(catalogue, "regions", lambda project: regions)


@pytest.mark.parametrize(
    ("quota", "table", "message"),
    [
        (("SSD_TOTAL_GB", 40.0), {}, "SSD_TOTAL_GB of us-central1 has room for 40 of 40, and this"),
        (("DISKS_TOTAL_GB", 40.0), {"disk_type": "pd-standard"}, "this run needs 48"),
        (("HDB_TOTAL_GB", 40.0), {"sizes": ["c4-standard-2"]}, "this run needs 48"),
        (("N2_CPUS", 4.0), {"sizes": ["n2-standard-2"]}, "room for 4 of 4, and this run needs 6"),
        (("T2A_CPUS", 2.0), {"sizes": ["t2a-standard-1"]}, "this run needs 3"),
        (("IN_USE_ADDRESSES", 2.0), {}, "this run needs 3"),
        (("PREEMPTIBLE_CPUS", 4.0), {"sizes": ["n2-standard-2"]}, "this run needs 6"),
    ],
)
def test_each_quota_that_a_run_takes_is_held_against_it(
    make: MakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    quota: tuple[str, float],
    table: dict[str, object],
    message: str,
) -> None:
    with_quotas(monkeypatch, quota)
    (problem,) = make(**table).objections(Pool(3), batch(3))
    assert problem.fatal
    assert message in problem.what


@pytest.mark.parametrize(
    ("quota", "table"),
    [
        (("CPUS", 1.0), {"sizes": ["n2-standard-2"]}),
        (("N2_CPUS", 1.0), {}),
        (("SSD_TOTAL_GB", 1.0), {"sizes": ["c4-standard-2"]}),
        (("IN_USE_ADDRESSES", 0.0), {"address": "private"}),
    ],
)
def test_a_quota_that_counts_other_things_stops_nothing(
    make: MakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    quota: tuple[str, float],
    table: dict[str, object],
) -> None:
    with_quotas(monkeypatch, quota)
    assert make(**table).objections(Pool(3), batch(3, allow_from=("10.0.0.0/8",))) == []


def test_a_quota_of_one_family_is_a_warning_while_another_is_configured(
    make: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ["n2-standard-2", "e2-small"]
    with_quotas(monkeypatch, ("N2_CPUS", 1.0))
    (problem,) = make(sizes=sizes).objections(Pool(3), batch(3))
    assert not problem.fatal
    with_quotas(monkeypatch, ("N2_CPUS", 1.0), ("CPUS", 1.0))
    found = make(sizes=sizes).objections(Pool(3), batch(3))
    assert [problem.fatal for problem in found] == [True, True]


def test_labels_in_other_scripts_are_taken(make: MakeProvider) -> None:
    assert make(labels={"équipe": "größe_1-x", "empty": ""}).objections(Pool(1), batch()) == []


def test_an_unknown_region_is_reported_with_googles_message(make: MakeProvider) -> None:
    problems = make("mars-north1").doctor()
    assert "regions/mars-north1' was not found" in problems[0].what


def test_the_doctor_makes_nothing(provider: GcpProvider, lab: GcpLab) -> None:
    provider.doctor()
    assert {request.split()[0] for request in lab.requests} == {"GET"}


@pytest.mark.parametrize(("size", "near"), [("e2-smal", "e2-small"), ("e22-small", "e2-small")])
def test_a_misspelt_size_is_answered_with_the_nearest(
    make: MakeProvider, size: str, near: str
) -> None:
    remedies = [one.remedy for one in make(sizes=[size]).doctor() if "is not sold" in one.what]
    assert remedies == [f"did you mean {near}? check provider.gcp.sizes"]


def test_a_misspelt_region_is_answered_with_the_nearest(make: MakeProvider) -> None:
    remedies = [one.remedy for one in make("us-cental1").doctor()]
    assert [one for one in remedies if one.startswith("did you mean us-central1? ")]
