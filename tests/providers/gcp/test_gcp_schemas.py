"""libcloud's own recorded answers of Google, read through our driver: a witness from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.model import Market, NodeState
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver, read
from spotdeploy_gcp.nodes import from_gce
from spotdeploy_gcp.schemas import (
    AggregatedPage,
    Disk,
    Firewall,
    Image,
    MachineType,
    Network,
    Operation,
    Page,
    Project,
    Region,
    SerialPortOutput,
)
from tests.labs.libcloud_sdist import recorded_answers


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder with the recorded answers."""
    return recorded_answers("gce")


@pytest.fixture
def driver() -> GceDriver:
    """A driver that can reach nothing."""
    return GceDriver("project_name", "http://127.0.0.1:9", lambda: "no-token")


def recorded(folder: Path, name: str) -> Any:
    """One answer."""
    return json.loads((folder / name).read_text("utf-8"))


def test_recorded_instances_become_nodes(fixtures: Path, driver: GceDriver) -> None:
    page = read(recorded(fixtures, "aggregated_instances.json"), AggregatedPage)
    assert page.kind == "compute#instanceAggregatedList"
    nodes = {}
    for region in ("us-central1", "us-central2", "europe-west1"):
        for content in page.of_region(region).values():
            for instance in read(content.get("instances", []), list[dict[str, Any]]):
                found = driver.to_node(instance)
                node = from_gce(found, region, lambda *_: None, public=True)
                nodes[node.name] = node
    node = nodes["node-name"]
    assert node.id.endswith("/node-name")
    assert node.state is NodeState.RUNNING
    assert node.market is Market.ON_DEMAND
    assert node.address
    assert node.private_address
    assert node.created_at
    assert node.size == "n1-standard-1"
    assert len(nodes) >= 5


def test_every_recorded_instance_is_read(fixtures: Path, driver: GceDriver) -> None:
    count = 0
    for path in sorted(fixtures.glob("*.json")):
        answer = json.loads(path.read_text("utf-8"))
        if isinstance(answer, dict) and answer.get("kind") == "compute#instance":
            node = from_gce(driver.to_node(answer), "any", lambda *_: None, public=True)
            assert node.name == answer["name"]
            count += 1
    assert count >= 3


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("compute#operation", Operation),
        ("compute#project", Project),
        ("compute#region", Region),
        ("compute#machineType", MachineType),
        ("compute#image", Image),
        ("compute#network", Network),
        ("compute#firewall", Firewall),
        ("compute#disk", Disk),
        ("compute#serialPortOutput", SerialPortOutput),
    ],
)
def test_every_recorded_answer_of_a_kind_is_read(
    fixtures: Path, kind: str, shape: type[Any]
) -> None:
    answers = (json.loads(path.read_text("utf-8")) for path in sorted(fixtures.glob("*.json")))
    of_kind = [one for one in answers if isinstance(one, dict) and one.get("kind") == kind]
    assert of_kind
    for answer in of_kind:
        read(answer, shape)


def test_recorded_lists_are_read(fixtures: Path) -> None:
    page = read(recorded(fixtures, "global_firewalls.json"), Page)
    assert [read(item, Firewall).name for item in page.items]
    page = read(recorded(fixtures, "global_images.json"), Page)
    assert [read(item, Image).self_link for item in page.items]
    aggregated = read(recorded(fixtures, "aggregated_machineTypes.json"), AggregatedPage)
    some = aggregated.of_region("us-central1")["zones/us-central1-a"]["machineTypes"]
    assert len(read(some, list[MachineType])) > 5
    aggregated = read(recorded(fixtures, "aggregated_disks.json"), AggregatedPage)
    some = aggregated.of_region("us-central1")["zones/us-central1-a"]["disks"]
    assert [disk.name for disk in read(some, list[Disk])]
    assert Action.LIST_DISKS.id == "compute.disks.aggregatedList"


def test_a_recorded_failed_operation_has_its_codes(fixtures: Path) -> None:
    failed = []
    for path in sorted(fixtures.glob("*.json")):
        answer = json.loads(path.read_text("utf-8"))
        if isinstance(answer, dict) and answer.get("kind") == "compute#operation":
            failed += read(answer, Operation).errors
    assert {error.code for error in failed}
