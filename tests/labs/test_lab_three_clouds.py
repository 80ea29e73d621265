"""One cycle over three clouds: real command, real machines, no cloud."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from spotdeploy.report.html.matrix import matrix
from spotdeploy.report.run_store import read_report
from spotdeploy_local.engine import LabEngine
from tests.labs.azure import AzureLab
from tests.labs.azure.faults import ALLOCATION, QUOTA
from tests.labs.clouds import CLOUDS, AnyMachineLab
from tests.labs.gcp import GcpLab
from tests.labs.gcp.skus import sku
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
NOTHING: dict[str, list[str]] = {cloud: [] for cloud in CLOUDS}
ASK_ALL_METADATA = """
ask() { curl -s -o /dev/null -w "$1 %{http_code}\\n" "$2" -H "$3" -X "$4"; }
base=http://169.254.169.254
ask aws $base/latest/api/token "X-aws-ec2-metadata-token-ttl-seconds: 9" PUT
ask gcp $base/computeMetadata/v1/instance/name "Metadata-Flavor: Google" GET
ask azure "$base/metadata/instance/compute?api-version=2021-02-01" "Metadata: true" GET
"""
ANSWERS = {
    "aws": ["aws 200", "gcp 401", "azure 401"],
    "gcp": ["aws 403", "gcp 200", "azure 403"],
    "azure": ["aws 400", "gcp 400", "azure 200"],
}
EVERYWHERE = [word for cloud in CLOUDS for word in ("--provider", cloud)]


@dataclass(frozen=True)
class Clouds:
    """The three labs, in one network."""

    labs: Mapping[str, AnyMachineLab]

    def remains(self) -> dict[str, list[str]]:
        """What each cloud itself still has."""
        return {cloud: lab.remains() for cloud, lab in self.labs.items()}

    def made(self) -> dict[str, int]:
        """How many machines each cloud ever had."""
        return {
            cloud: len(lab.hypervisor.started) - len(lab.hypervisor.failures)
            for cloud, lab in self.labs.items()
        }


@pytest.fixture
def clouds(tmp_path: Path, machine_network: MachineNetwork, engine: LabEngine) -> Iterator[Clouds]:
    """Three clouds, whose end proves that nothing is left in any of them."""
    with ExitStack() as open_ones:
        labs = {
            name: open_ones.enter_context(cloud.lab(tmp_path, machine_network))
            for name, cloud in CLOUDS.items()
        }
        clouds = Clouds(labs)
        yield clouds
        assert clouds.remains() == NOTHING
        for lab in labs.values():
            assert_as_published(lab)


@pytest.fixture
def project(tmp_path: Path, clouds: Clouds) -> LabProject:
    """A project that goes to all three. What a cycle leaves is not cleaned up: it fails the
    test."""
    tables = {name: CLOUDS[name].table(lab) for name, lab in clouds.labs.items()}
    labs = list(clouds.labs.values())
    return LabProject(tmp_path / "project", f"t-{secrets.token_hex(4)}", labs, tables)


def last_run(project: LabProject) -> Path:
    """The folder of the only run so far."""
    (run,) = project.folder.glob(".spotdeploy/runs/*")
    return run


def by_provider(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A report's nodes."""
    return {
        cloud: [node for node in report["nodes"] if node["provider"] == cloud] for cloud in CLOUDS
    }


def verdicts(project: LabProject) -> dict[str, list[str]]:
    """How the nodes of each cloud ended in the only run so far."""
    report = json.loads((last_run(project) / "report.json").read_text())
    return {
        cloud: [node["verdict"] for node in nodes] for cloud, nodes in by_provider(report).items()
    }


def admitted(clouds: Clouds) -> dict[str, set[str]]:
    """What each cloud was asked to let in from elsewhere."""
    aws, gcp, azure = (cast("Any", clouds.labs[cloud]).cloud.calls for cloud in CLOUDS)
    return {
        "aws": {
            value
            for call in aws
            for key, value in call.parameters.items()
            if call.action == "AuthorizeSecurityGroupIngress"
            and key.endswith("CidrIp")
            and call.parameters.get(key.replace("CidrIp", "Description"))
        },
        "gcp": {
            source
            for call in gcp
            if call.method == "compute.firewalls.insert" and call.body["name"].endswith("-p4")
            for source in call.body["sourceRanges"]
        },
        "azure": {
            source
            for call in azure
            if call.operation.startswith("PUT") and "securitygroups" in call.operation
            for rule in call.body["properties"]["securityRules"]
            if rule["name"].startswith("elsewhere")
            for source in rule["properties"]["sourceAddressPrefixes"]
        },
    }


def test_one_cycle_goes_through_three_clouds_and_leaves_nothing_in_any(
    project: LabProject, clouds: Clouds, engine: LabEngine
) -> None:
    project.entry(ASK_ALL_METADATA)
    project.config["nodes"] |= {"open_between": [7946], "open_between_locations": True}
    done = project.cycle(*EVERYWHERE, "--evidence", "always")
    assert done.code == 0, done
    assert "PASSED: all 6 nodes are healthy" in done.out
    assert clouds.made() == {"aws": 2, "gcp": 2, "azure": 2}
    assert clouds.remains() == NOTHING
    assert engine.machines() == []
    run = last_run(project)
    report = json.loads((run / "report.json").read_text())
    assert (report["verdict"], report["exit_code"]) == ("passed", 0)
    assert report["providers"] == list(CLOUDS)
    for cloud, nodes in by_provider(report).items():
        assert [node["verdict"] for node in nodes] == ["passed", "passed"]
        for node in nodes:
            (log,) = run.glob(f"evidence/{cloud}-{node['name']}-*/deployment.log")
            assert log.read_text().splitlines() == ANSWERS[cloud]
    assert sorted(report["costs"]) == sorted(CLOUDS)
    let_in = admitted(clouds)
    nodes_of = {
        cloud: set.intersection(*(its for other, its in let_in.items() if other != cloud))
        for cloud in CLOUDS
    }
    assert {cloud: len(its) for cloud, its in nodes_of.items()} == {"aws": 2, "gcp": 2, "azure": 2}
    assert all(let_in[cloud].isdisjoint(nodes_of[cloud]) for cloud in CLOUDS)
    assert all(len(its) == 4 for its in let_in.values())
    (section,) = matrix(read_report(run))
    assert [(block.provider, block.passed, block.nodes) for block in section.blocks] == [
        (cloud, 2, 2) for cloud in CLOUDS
    ]
    page = (run / "report.html").read_text()
    assert all(f"{cloud} <small>2 of 2 passed" in page for cloud in CLOUDS)


def test_a_cloud_without_capacity_fails_the_cycle_in_its_words_and_leaves_nothing_in_any(
    project: LabProject, clouds: Clouds, engine: LabEngine
) -> None:
    project.config["nodes"]["count"] = 1
    clouds.labs["azure"].faults.limit(0)
    done = project.cycle(*EVERYWHERE)
    assert done.code == 3, done
    assert ALLOCATION.words in done.out
    assert clouds.made() == {"aws": 1, "gcp": 1, "azure": 0}
    assert clouds.remains() == NOTHING
    assert engine.machines() == []
    report = json.loads((last_run(project) / "report.json").read_text())
    assert (report["verdict"], report["exit_code"]) == ("infrastructure failed", 3)
    assert {cloud: len(nodes) for cloud, nodes in by_provider(report).items()} == clouds.made()
    assert [receipt["left"] for receipt in report["receipts"]] == [[], []]


def test_a_cloud_without_quota_fails_its_nodes_and_the_others_pass(
    project: LabProject, clouds: Clouds
) -> None:
    project.config["nodes"]["count"] = 1
    clouds.labs["azure"].faults.limit(0, trouble=QUOTA)
    done = project.cycle(*EVERYWHERE)
    assert done.code == 3, done
    assert QUOTA.words in done.out
    assert verdicts(project) == {"aws": ["passed"], "gcp": ["passed"], "azure": []}
    assert clouds.remains() == NOTHING


def test_a_cloud_whose_credentials_end_in_the_middle_fails_its_nodes_and_the_others_pass(
    project: LabProject, clouds: Clouds
) -> None:
    project.config["nodes"]["count"] = 1
    project.config["keep"] = "always"
    azure = cast("AzureLab", clouds.labs["azure"])
    with project.started("cycle", *EVERYWHERE) as running:
        running.until("Creating 3 nodes")
        azure.revoke()
        done = running.end()
    azure.restore()
    assert done.code == 3, done
    mine = verdicts(project)
    assert (mine["aws"], mine["gcp"]) == (["passed"], ["passed"])
    assert "passed" not in mine["azure"]
    assert project.run("destroy", *EVERYWHERE).code == 0
    assert clouds.remains() == NOTHING


def test_a_zone_that_falls_silent_is_no_payloads_fault_and_what_it_hides_is_told(
    project: LabProject, clouds: Clouds
) -> None:
    project.config["nodes"]["count"] = 1
    project.config["timeouts"] = {"destroy": "45s"}
    gcp = clouds.labs["gcp"]
    with project.started("cycle", "--keep", "never", *EVERYWHERE) as running:
        for _ in CLOUDS:
            running.until("ship done")
        gcp.faults.unreachable.add("us-central1-a")
        done = running.end()
    assert done.code == 4, done
    mine = verdicts(project)
    assert (mine["aws"], mine["azure"]) == (["passed"], ["passed"])
    assert "payload failed" not in mine["gcp"]
    assert "us-central1-a" in done.out
    assert "gcloud compute instances delete" in done.out
    left = clouds.remains()
    assert (left["aws"], left["azure"]) == ([], [])
    gcp.faults.clear()
    assert project.run("destroy", *EVERYWHERE).code == 0
    assert clouds.remains() == NOTHING


def tries(project: LabProject) -> list[tuple[str, int, int]]:
    """The table of tries of the last run: provider, asked, got."""
    run = max(project.folder.glob(".spotdeploy/runs/*"))
    report = json.loads((run / "report.json").read_text())
    return [(one["provider"], one["asked"], one.get("got", 0)) for one in report["tries"]]


def test_the_next_cheapest_gives_what_the_cheapest_lacks_and_later_the_cheapest_again(
    project: LabProject, clouds: Clouds
) -> None:
    project.config["nodes"]["placement"] = "cheapest"
    project.config["provider"]["azure"]["price_service"] = clouds.labs["azure"].url
    cast("GcpLab", clouds.labs["gcp"]).cloud.skus = [
        sku("Spot Preemptible E2 Instance Core running in Iowa", ["us-central1"], 0.006),
        sku("Spot Preemptible E2 Instance Ram running in Iowa", ["us-central1"], 0.001),
    ]
    project.write()
    offers = project.run("plan", "--json", *EVERYWHERE).json()["offers"]
    price = {cloud: min(one["usd_per_hour"] for one in offers[cloud]) for cloud in CLOUDS}
    first, second, third = sorted(price, key=lambda cloud: price[cloud])
    clouds.labs[first].faults.limit(0)
    done = project.cycle(*EVERYWHERE)
    assert done.code == 0, done
    assert "PASSED: all 2 nodes are healthy" in done.out
    assert clouds.made() == {first: 0, second: 2, third: 0}
    *refused, last = tries(project)
    assert {(cloud, got) for cloud, _, got in refused} == {(first, 0)}
    assert last == (second, 2, 2)
    clouds.labs[first].faults.limits.clear()
    done = project.cycle(*EVERYWHERE)
    assert done.code == 0, done
    assert clouds.made() == {first: 2, second: 2, third: 0}
    assert tries(project) == [(first, 2, 2)]
    assert clouds.remains() == NOTHING


def test_a_cloud_that_lets_nobody_in_is_passed_over_and_the_next_in_order_serves(
    project: LabProject, clouds: Clouds
) -> None:
    project.config["nodes"] |= {"placement": "ordered", "count": 1}
    azure = cast("AzureLab", clouds.labs["azure"])
    azure.revoke()
    done = project.cycle("--provider", "azure", "--provider", "gcp", "--provider", "aws")
    azure.restore()
    assert done.code == 0, done
    assert "azure eastus: passed over, and not proven empty: " in done.out
    assert clouds.made() == {"aws": 0, "gcp": 1, "azure": 0}
    assert clouds.remains() == NOTHING
