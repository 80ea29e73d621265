"""The command `destroy` on an Azure that is slow to delete, or too busy to list."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.model import Batch
from tests.labs.azure import AzureLab
from tests.labs.clouds import AZURE
from tests.labs.lab_project import LabProject


@pytest.fixture
def lab() -> Iterator[AzureLab]:
    """An Azure with a node that the project's journal does not know."""
    with AzureLab() as lab:
        os.environ.update(lab.environment)
        marks = labels.for_batch("shop", "20260101-120000-abc123", "old", "d" * 40, 9e9)
        AZURE.open(lab).create(AZURE.offer, Batch("old", 1, marks, b"true\n", "spotdeploy"))
        yield lab
        assert lab.wrong == []


@pytest.fixture
def project(lab: AzureLab, tmp_path: Path) -> LabProject:
    """Its deployment, on another computer."""
    project = LabProject(tmp_path / "project", "shop", [lab], {"azure": AZURE.table(lab)})
    project.config["timeouts"] = {"destroy": "30s"}
    project.write()
    return project


def test_it_ends_well_while_compute_lists_nothing(lab: AzureLab, project: LabProject) -> None:
    lab.timing.group_going = 10.0
    lab.faults.closed_until = time.time() + 1235
    done = project.run("destroy")
    assert done.code == 0, done
    assert lab.called().count("DELETE resourcegroups") == 1
    assert lab.remains() == []


def test_a_group_that_is_still_going_is_told_and_no_leak(
    lab: AzureLab, project: LabProject
) -> None:
    lab.timing.group_going = 3600.0
    project.config["timeouts"] = {"destroy": "15s"}
    project.write()
    done = project.run("destroy")
    assert done.code == 0, done
    assert "azure is still deleting it, its nodes are gone" in done.out + done.err
    assert "az group wait --name spotdeploy-shop-" in done.out + done.err
    assert lab.ids() == []
    (run,) = project.folder.glob(".spotdeploy/runs/*/report.json")
    (receipt,) = json.loads(run.read_text())["receipts"]
    (ending,) = receipt["ending"]
    assert ending.startswith("resource group spotdeploy-shop-")
    assert "az group wait" in ending
    assert [thing["ending"] for thing in receipt["released"]] == [True]
