"""The whole of `spotdeploy cycle --provider gcp`: real command, real machines, no cloud."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cycles.project import PATIENCE, eventually
from tests.labs.gcp import MachineLab
from tests.labs.gcp.faults import QUOTA
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]


@pytest.fixture
def lab(tmp_path: Path, machine_network: MachineNetwork) -> Iterator[MachineLab]:
    """A lab whose end proves that nothing is left in the cloud."""
    with MachineLab(tmp_path, machine_network) as lab:
        yield lab
        assert_as_published(lab)
        assert (lab.instances(), lab.cloud.disks, lab.cloud.firewalls) == ({}, {}, {})


@pytest.fixture
def project(tmp_path: Path, lab: MachineLab) -> Iterator[LabProject]:
    """A project that goes to GCP."""
    tables = {"gcp": {**lab.table, "sizes": ["e2-small"]}}
    deployment = f"t-{secrets.token_hex(4)}"
    with LabProject.opened(tmp_path / "project", deployment, [lab], tables) as project:
        yield project


def test_a_gcp_cycle_passes_and_leaves_nothing(project: LabProject, lab: MachineLab) -> None:
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert lab.methods().count("instances.bulkInsert") == 1
    assert lab.instances() == {}


def test_a_gcp_cycle_walks_on_when_a_zone_is_exhausted(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.limit(1, zone="us-central1-a")
    project.config["keep"] = "passing"
    done = project.cycle()
    assert done.code == 0, done
    zones = {one.zone for one in lab.cloud.living()}
    assert zones == {"us-central1-a", "us-central1-b"}


def test_a_gcp_cycle_survives_a_lost_answer_and_throttling(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.lose_reply("compute.instances.bulkInsert")
    lab.faults.throttle("compute.instances.aggregatedList", times=3)
    project.config["nodes"]["count"] = 1
    project.config["payload"]["reboot"] = False
    done = project.cycle()
    assert done.code == 0, done
    assert len(lab.cloud.instances) == 1


def test_a_preempted_gcp_node_is_never_blamed_on_the_payload(
    project: LabProject, lab: MachineLab
) -> None:
    project.entry("sleep 120")
    project.config["nodes"]["count"] = 1
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(lambda: "RUNNING" in lab.instances().values(), "a node runs", PATIENCE)
        lab.forget_calls()
        listed = "instances.aggregatedList"
        eventually(lambda: lab.methods().count(listed) >= 2, "the node is seen", PATIENCE)
        lab.preempt(next(iter(lab.instances())))
        done = cycle.result()
    assert done.code == 3, done
    assert "preempted" in done.out + done.err


def test_a_gcp_cycle_without_quota_is_an_infrastructure_failure_in_googles_words(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.limit(0, trouble=QUOTA)
    done = project.cycle()
    assert done.code == 3, done
    assert "Quota 'CPUS' exceeded" in done.out + done.err
