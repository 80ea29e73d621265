"""A live test of each cloud's provider, by the real command against its lab with machines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs.azure import AzureMachineLab
from tests.labs.clouds import AnyMachineLab, Cloud
from tests.labs.gcp import GcpMachineLab
from tests.labs.gcp.skus import sku
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = pytest.mark.machines


@pytest.fixture
def lab(cloud: Cloud, tmp_path: Path, machine_network: MachineNetwork) -> Iterator[AnyMachineLab]:
    """Its lab."""
    with cloud.lab(tmp_path, machine_network) as lab:
        yield lab
        assert_as_published(lab)


@pytest.fixture
def project(cloud: Cloud, lab: AnyMachineLab, tmp_path: Path) -> LabProject:
    """A folder with a config for it."""
    table = cloud.table(lab)
    if isinstance(lab, AzureMachineLab):
        table["price_service"] = lab.url
    if isinstance(lab, GcpMachineLab):
        lab.cloud.skus = [
            sku("Spot Preemptible E2 Instance Core running in Iowa", ["us-central1"], 0.006),
            sku("Spot Preemptible E2 Instance Ram running in Iowa", ["us-central1"], 0.001),
        ]
    return LabProject(tmp_path / "project", "mine", [lab], {cloud.name: table})


def test_every_promise_is_kept_and_the_page_names_nobody(
    cloud: Cloud, lab: AnyMachineLab, project: LabProject
) -> None:
    project.write()
    shown = project.run("plugins", "test", cloud.name, "--live", "--max-cost", "0.50")
    assert shown.code == 0, str(shown)
    page = (project.folder / f"live-{cloud.name}.md").read_text("utf-8")
    assert "| the node ran its user-data and answers by ssh | kept |" in page
    assert "0 broken; nothing is left" in page
    assert lab.remains() == []
    for secret in lab.credentials:
        assert secret not in page
    for name in ("account_id", "subscription", "project"):
        value = cloud.table(lab).get(name)
        assert value is None or value not in page


def test_a_signal_ends_what_was_made_and_proves_it(
    cloud: Cloud, lab: AnyMachineLab, project: LabProject
) -> None:
    with project.started("plugins", "test", cloud.name, "--live", "--max-cost", "0.50") as process:
        process.until("kept: it runs and has an address")
        assert lab.machines() != []
        process.send(signal.SIGINT)
        done = process.end()
    assert done.code == 130, done
    assert "STOPPED: nothing is left" in done.out
    assert lab.remains() == []
