"""The whole of `spotdeploy cycle --provider azure`: real command, real machines, no cloud."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs.azure import MachineLab
from tests.labs.azure.faults import QUOTA
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
SIZES = ["Standard_D2as_v5", "Standard_D2s_v5"]


@pytest.fixture
def lab(tmp_path: Path, machine_network: MachineNetwork) -> Iterator[MachineLab]:
    """A lab whose end proves that nothing is left in the cloud."""
    with MachineLab(machine_network) as lab:
        yield lab
        assert_as_published(lab)
        assert lab.remains() == []


@pytest.fixture
def project(tmp_path: Path, lab: MachineLab) -> Iterator[LabProject]:
    """A project that goes to Azure."""
    tables = {"azure": {**lab.table, "sizes": SIZES}}
    deployment = f"t-{secrets.token_hex(4)}"
    with LabProject.opened(tmp_path / "project", deployment, [lab], tables) as project:
        yield project


def test_an_azure_cycle_passes_and_leaves_nothing(project: LabProject, lab: MachineLab) -> None:
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert lab.operations().count("PUT deployments") == 1
    assert lab.operations().count("DELETE resourcegroups") == 1
    assert lab.remains() == []


def test_an_azure_cycle_walks_on_when_a_size_is_sold_out(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.limit(1, size=SIZES[0])
    project.config["keep"] = "passing"
    done = project.cycle()
    assert done.code == 0, done
    assert {one.size for one in lab.cloud.machines.values()} == set(SIZES)
    assert len(lab.cloud.groups) == 1


def test_an_azure_cycle_without_quota_is_an_infrastructure_failure_in_azures_words(
    project: LabProject, lab: MachineLab
) -> None:
    lab.faults.limit(0, trouble=QUOTA, preflight=True)
    done = project.cycle()
    assert done.code == 3, done
    assert "Current Limit: 3, Current Usage: 2" in done.out + done.err


def test_an_azure_cycle_with_an_expired_secret_says_what_to_do(
    project: LabProject, lab: MachineLab
) -> None:
    lab.revoke()
    done = project.cycle()
    assert done.code == 3, done
    assert "The secret keys are expired" in done.err
    assert "az ad app credential reset" in done.err
    lab.restore()
