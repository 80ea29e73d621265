"""Listings of GCP that lack for a while what was just made: instances, disks and firewall rules."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.api import Project
from spotdeploy.events import Bus
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.plan import find_offers, read_plans
from spotdeploy.run.context import open_run
from spotdeploy.run.verdict import Receipt
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.clouds import CLOUDS
from tests.labs.gcp import GcpLab
from tests.labs.phase_run import make_nodes, write_project

LATE, SETTLE = 2.0, 3.0


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcpLab]:
    """A project whose listings are late, of which the provider knows."""
    monkeypatch.setattr(GcpProvider, "settle_seconds", SETTLE)
    monkeypatch.setattr(GcpProvider, "poll_seconds", 0.2)
    with GcpLab(tmp_path) as lab:
        os.environ.update(lab.environment)
        lab.timing.listing_delay = LATE
        yield lab
        assert lab.wrong == []


@pytest.fixture
def project(lab: GcpLab, tmp_path: Path) -> Project:
    """A deployment of three nodes."""
    return write_project(tmp_path, {"gcp": CLOUDS["gcp"].table(lab)}, 3)


async def create_and_lose_the_journal(project: Project) -> None:
    """What a run leaves that was killed, in a folder that was cleaned."""
    with open_run(project, read_plans(project), Bus()) as run:
        await make_nodes(run, (await find_offers(run)).offers)
    shutil.rmtree(project.path.parent / ".spotdeploy")


async def destroy_at_once(project: Project) -> Receipt:
    with open_run(project, read_plans(project), Bus()) as run:
        run.journal.begin_run(run.id, run.deployment, "destroy", "")
        return await destroy(run)


async def test_a_destroy_with_no_journal_finds_nodes_disks_and_rules_that_are_listed_late(
    lab: GcpLab, project: Project
) -> None:
    await create_and_lose_the_journal(project)
    assert len(lab.instances()) == 3
    receipt = await destroy_at_once(project)
    assert receipt.clean
    assert len(receipt.destroyed) == 3
    assert lab.remains() == []


async def test_rules_of_a_create_that_made_no_node_are_found_though_they_are_listed_late(
    lab: GcpLab, project: Project
) -> None:
    lab.faults.limit(0)
    await create_and_lose_the_journal(project)
    assert lab.instances() == {}
    assert lab.remains()
    receipt = await destroy_at_once(project)
    assert receipt.clean
    assert {thing.kind for thing in receipt.released} == {"firewall rule"}
    assert lab.remains() == []


async def test_disks_that_outlive_their_nodes_are_found_though_they_are_listed_late(
    lab: GcpLab, project: Project
) -> None:
    await create_and_lose_the_journal(project)
    for one in lab.cloud.living():
        one.properties["disks"][0]["autoDelete"] = False
        lab.cloud.end(one)
    assert lab.instances() == {}
    receipt = await destroy_at_once(project)
    assert receipt.clean
    assert sum(thing.kind == "disk" for thing in receipt.released) == 3
    assert lab.remains() == []
