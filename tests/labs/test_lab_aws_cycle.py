"""The whole of `spotdeploy cycle --provider aws`: real command, real machines, no way out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cycles.project import PATIENCE, eventually
from tests.labs.aws import MachineLab
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
REGIONS = ["us-west-2", "eu-west-1"]


@pytest.fixture
def lab(tmp_path: Path, machine_network: MachineNetwork) -> Iterator[MachineLab]:
    """A lab whose end proves that nothing is left in moto."""
    with MachineLab(tmp_path, machine_network) as lab:
        yield lab
        assert_as_published(lab)
        assert [lab.remains(region) for region in REGIONS] == [[], []]


@pytest.fixture
def project(tmp_path: Path, lab: MachineLab) -> Iterator[LabProject]:
    """A project that goes to two regions of AWS."""
    tables = {"aws": {**lab.table, "regions": REGIONS, "sizes": ["t3.small"]}}
    deployment = f"t-{secrets.token_hex(4)}"
    with LabProject.opened(tmp_path / "project", deployment, [lab], tables) as project:
        yield project


def regions_of(lab: MachineLab) -> set[str]:
    """Where instances were ever made."""
    return {instance.region for instance in lab.cloud.known.values()}


def test_an_aws_cycle_over_two_regions_passes_and_leaves_nothing(
    project: LabProject, lab: MachineLab
) -> None:
    lab.timing.going = 1.0
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert regions_of(lab) == set(REGIONS)
    assert lab.actions().count("RunInstances") == 2


def test_an_interrupted_node_is_replaced_and_the_cycle_passes(
    project: LabProject, lab: MachineLab
) -> None:
    project.entry("sleep 25")
    project.config["nodes"]["on_interruption"] = "replace"
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(lambda: len(lab.cloud.known) == 2, "both nodes are made", PATIENCE)
        first = next(iter(lab.cloud.known))
        eventually(lambda: lab.cloud.known[first].running, "the first one runs", PATIENCE)
        lab.forget_calls()
        seen = "DescribeInstances"
        eventually(lambda: lab.actions().count(seen) >= 4, "it is seen running", PATIENCE)
        lab.interrupt(first)
        done = cycle.result()
    assert done.code == 0, done
    assert len(lab.cloud.known) == 3
    assert "interrupted" in done.out + done.err


def test_an_interrupted_node_is_never_blamed_on_the_payload(
    project: LabProject, lab: MachineLab
) -> None:
    project.entry("sleep 120")
    project.config["nodes"]["count"] = 1
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(
            lambda: any(one.running for one in lab.cloud.known.values()), "a node runs", PATIENCE
        )
        lab.forget_calls()
        seen = "DescribeInstances"
        eventually(lambda: lab.actions().count(seen) >= 2, "it is seen running", PATIENCE)
        lab.interrupt(next(iter(lab.cloud.known)))
        done = cycle.result()
    assert done.code == 3, done
    assert "Spot instance termination" in done.out + done.err


def test_an_announced_interruption_is_read_on_the_node_before_it_comes(
    project: LabProject, lab: MachineLab
) -> None:
    project.entry("sleep 300")
    project.config["nodes"]["count"] = 1
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(lambda: len(lab.cloud.known) == 1, "the node is made", PATIENCE)
        (only,) = lab.cloud.known
        eventually(lambda: lab.cloud.known[only].running, "it runs", PATIENCE)
        lab.notify(only)
        done = cycle.result()
    assert done.code == 3, done
    assert "interrupted during deploy" in done.out
    assert "Traceback" not in done.err


def test_an_aws_cycle_walks_on_past_full_zones_lost_answers_and_throttling(
    project: LabProject, lab: MachineLab
) -> None:
    project.config["nodes"]["count"] = 1
    project.config["payload"]["reboot"] = False
    lab.faults.limit(0, zone="us-west-2a")
    lab.faults.lose_reply("RunInstances")
    lab.faults.throttle("DescribeInstances", times=2)
    done = project.cycle()
    assert done.code == 0, done
    assert len(lab.cloud.known) == 1
    assert [one.zone for one in lab.cloud.known.values()] != ["us-west-2a"]


def test_an_aws_cycle_without_capacity_anywhere_says_so_in_awss_words(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.limit(0)
    done = project.cycle()
    assert done.code == 3, done
    assert "InsufficientInstanceCapacity" in done.out + done.err
