"""The whole of `spotdeploy cycle` on each cloud: real command, real machines, no way out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import PATIENCE
from tests.cycles.project import Done, eventually
from tests.labs.aws import AwsMachineLab
from tests.labs.azure import AzureMachineLab
from tests.labs.azure.faults import QUOTA as AZURE_QUOTA
from tests.labs.clouds import AnyMachineLab, Cloud
from tests.labs.gcp.faults import QUOTA as GCP_QUOTA
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
REGIONS = ["us-west-2", "eu-west-1"]
AZURE_SIZES = ["Standard_D2as_v5", "Standard_D2s_v5"]
TAKEN = {"aws": "Spot instance termination", "gcp": "preempted"}
"""How each cloud tells that it took a machine back."""


def on(*clouds: str) -> pytest.MarkDecorator:
    """Only there."""
    return pytest.mark.parametrize("cloud", clouds, indirect=True)


@pytest.fixture
def lab(cloud: Cloud, tmp_path: Path, machine_network: MachineNetwork) -> Iterator[AnyMachineLab]:
    """A lab whose end proves that nothing is left in the cloud."""
    with cloud.lab(tmp_path, machine_network) as lab:
        yield lab
        assert_as_published(lab)
        assert lab.remains() == []


@pytest.fixture
def project(cloud: Cloud, lab: AnyMachineLab, tmp_path: Path) -> Iterator[LabProject]:
    """A project of two nodes that goes there."""
    tables = {cloud.name: cloud.table(lab)}
    deployment = f"t-{secrets.token_hex(4)}"
    with LabProject.opened(tmp_path / "project", deployment, [lab], tables) as project:
        yield project


def count(lab: AnyMachineLab, name: str) -> int:
    """How often a call came."""
    return sum(lab.faults.name_of(call) == name for call in lab.calls)


def troubled(
    project: LabProject, cloud: Cloud, lab: AnyMachineLab, act: Callable[[str], None]
) -> Done:
    """A cycle in which something happens to a node once all were made and seen running."""
    nodes = project.config["nodes"]["count"]
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(lambda: len(lab.ids()) == nodes, "the nodes are made", PATIENCE)
        eventually(lambda: len(lab.machines()) == nodes, "they run", PATIENCE)
        lab.forget_calls()
        eventually(lambda: count(lab, cloud.listing) >= 2, "they are seen running", PATIENCE)
        act(lab.ids()[0])
        return cycle.result()


def test_a_cycle_passes_and_leaves_nothing(
    project: LabProject, cloud: Cloud, lab: AnyMachineLab
) -> None:
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert count(lab, cloud.create) == 1
    assert lab.remains() == []


def zones_of_aws(lab: Any) -> set[str]:
    return {one.zone for one in lab.cloud.known.values()}


def zones_of_gcp(lab: Any) -> set[str]:
    return {one.zone for one in lab.cloud.living()}


def sizes_of_azure(lab: Any) -> set[str]:
    return {one.size for one in lab.cloud.machines.values()}


@pytest.mark.parametrize(
    ("cloud", "sizes", "full", "places"),
    [
        ("aws", ["t3.small"], {"zone": "us-west-2a"}, zones_of_aws),
        ("gcp", ["e2-small"], {"zone": "us-central1-a"}, zones_of_gcp),
        ("azure", AZURE_SIZES, {"size": AZURE_SIZES[0]}, sizes_of_azure),
    ],
    indirect=["cloud"],
)
def test_a_cycle_walks_on_when_a_place_is_full(
    project: LabProject,
    cloud: Cloud,
    lab: AnyMachineLab,
    sizes: Sequence[str],
    full: Mapping[str, str],
    places: Callable[[Any], set[str]],
) -> None:
    project.config["provider"][cloud.name]["sizes"] = sizes
    project.config["keep"] = "passing"
    lab.faults.limit(1, **full)
    done = project.cycle()
    assert done.code == 0, done
    assert len(places(lab)) == 2


@pytest.mark.parametrize(
    ("cloud", "more", "words"),
    [
        ("aws", {}, "InsufficientInstanceCapacity"),
        ("gcp", {"trouble": GCP_QUOTA}, "Quota 'CPUS' exceeded"),
        (
            "azure",
            {"trouble": AZURE_QUOTA, "preflight": True},
            "Current Limit: 3, Current Usage: 2",
        ),
    ],
    indirect=["cloud"],
)
def test_a_cycle_without_capacity_is_an_infrastructure_failure_in_the_clouds_words(
    project: LabProject, lab: AnyMachineLab, more: Mapping[str, Any], words: str
) -> None:
    lab.faults.limit(0, **more)
    done = project.cycle()
    assert done.code == 3, done
    assert words in done.out + done.err


@on("aws", "gcp")
def test_a_cycle_survives_a_lost_answer_and_throttling(
    project: LabProject, cloud: Cloud, lab: AnyMachineLab
) -> None:
    lab.faults.lose_reply(cloud.create)
    lab.faults.throttle(cloud.listing, times=2)
    project.config["nodes"]["count"] = 1
    project.config["payload"]["reboot"] = False
    done = project.cycle()
    assert done.code == 0, done
    assert len(lab.hypervisor.started) == 1


@on("aws", "gcp")
def test_a_node_that_is_taken_back_is_never_blamed_on_the_payload(
    project: LabProject, cloud: Cloud, lab: AnyMachineLab
) -> None:
    project.entry("sleep 120")
    project.config["nodes"]["count"] = 1
    done = troubled(project, cloud, lab, lab.interrupt)
    assert done.code == 3, done
    assert TAKEN[cloud.name] in done.out + done.err


@on("aws")
def test_a_cycle_over_two_regions_makes_nodes_in_both(
    project: LabProject, cloud: Cloud, lab: AwsMachineLab
) -> None:
    project.config["provider"]["aws"]["regions"] = REGIONS
    lab.timing.going = 1.0
    done = project.cycle()
    assert done.code == 0, done
    assert {instance.region for instance in lab.cloud.known.values()} == set(REGIONS)
    assert count(lab, cloud.create) == 2


@on("aws")
def test_an_interrupted_node_is_replaced_and_the_cycle_passes(
    project: LabProject, cloud: Cloud, lab: AwsMachineLab
) -> None:
    project.entry("sleep 25")
    project.config["nodes"]["on_interruption"] = "replace"
    done = troubled(project, cloud, lab, lab.interrupt)
    assert done.code == 0, done
    assert len(lab.cloud.known) == 3
    assert "interrupted" in done.out + done.err


@on("aws")
def test_an_announced_interruption_is_read_on_the_node_before_it_comes(
    project: LabProject, cloud: Cloud, lab: AwsMachineLab
) -> None:
    project.entry("sleep 300")
    project.config["nodes"]["count"] = 1
    done = troubled(project, cloud, lab, lab.notify)
    assert done.code == 3, done
    assert "interrupted during deploy" in done.out
    assert "Traceback" not in done.err


@on("azure")
def test_a_cycle_with_an_expired_secret_says_what_to_do(
    project: LabProject, lab: AzureMachineLab
) -> None:
    lab.revoke()
    done = project.cycle()
    assert done.code == 3, done
    assert "The secret keys are expired" in done.err
    assert "az ad app credential reset" in done.err
    lab.restore()


@on("aws")
def test_of_two_people_at_once_the_second_is_refused_and_the_firsts_nodes_stay(
    project: LabProject, cloud: Cloud, lab: AnyMachineLab, tmp_path: Path
) -> None:
    project.config["keep"] = "passing"
    project.config["nodes"]["count"] = 1
    project.entry("sleep 20")
    tables = {cloud.name: cloud.table(lab)}
    name = str(project.config["deployment"])
    other = LabProject(tmp_path / "other", name, [lab], tables, home=tmp_path / "other-home")
    other.entry("echo deployed by another")
    with project.started("cycle") as running:
        running.until("boot done")
        second = other.cycle()
        first = running.end()
    assert second.code == 2, second
    assert "is in use by run" in second.err
    assert "--wait" in second.err
    assert first.code == 0, first
    assert len(project.nodes()) == 1
    assert project.run("verify").code == 0
    assert other.run("destroy", "--wait").code == 0
