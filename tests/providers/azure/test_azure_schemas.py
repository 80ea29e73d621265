"""libcloud's own recorded answers of Azure, read through our driver: a witness from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spotdeploy.model import Market, NodeState
from spotdeploy_azure.api import AzureDriver, read
from spotdeploy_azure.auth import Chain
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.nodes import Addresses, addresses, from_azure
from spotdeploy_azure.schemas import (
    InstanceView,
    Interface,
    Page,
    PublicAddress,
    Token,
    VirtualMachine,
)
from tests.labs.libcloud_sdist import recorded_answers

SUBSCRIPTION = "99999999-9999-9999-9999-999999999999"
PREFIX = "_subscriptions_99999999_"


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder with the recorded answers."""
    return recorded_answers("azure_arm")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> AzureDriver:
    """A driver that can reach nothing."""
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    config = AzureConfig(
        subscription=SUBSCRIPTION,
        endpoint="http://127.0.0.1:9",
        login_endpoint="https://127.0.0.1:9",
    )
    return AzureDriver(config, Chain(config, "https://127.0.0.1:9"))


def answers(folder: Path, part: str) -> list[Any]:
    """The answers whose file names have this part."""
    found = [json.loads(p.read_text("utf-8")) for p in sorted(folder.glob(f"*{part}*.json"))]
    assert found
    return found


def test_recorded_machines_become_nodes(recorded: Path, driver: AzureDriver) -> None:
    interfaces = [
        read(one, Interface, "") for one in answers(recorded, "networkInterfaces_test_node")
    ]
    known = addresses(interfaces, [])
    nodes = {}
    for page in answers(recorded, f"{PREFIX}providers_Microsoft_Compute_virtualMachines"):
        for raw in read(page, Page, "").value:
            machine = read(raw, VirtualMachine, "")
            found = driver.to_node(raw)  # type: ignore[arg-type]  # any JSON object
            node = from_azure(found, machine, None, (), known, lambda *_: None, public=False)
            nodes[node.name] = node
    node = nodes["test-node-1"]
    assert node.id == (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/000000"
        "/providers/Microsoft.Compute/virtualMachines/test-node-1"
    )
    assert node.state is NodeState.RUNNING
    assert node.market is Market.ON_DEMAND
    assert node.size == "Standard_A1"
    assert node.address == "10.0.0.1"
    assert set(nodes) == {"test-node-1", "test-node-2"}


def test_a_recorded_page_leads_to_the_next(recorded: Path) -> None:
    name = f"{PREFIX}providers_Microsoft_Compute_virtualMachines.json"
    page = read(json.loads((recorded / name).read_text("utf-8")), Page, "")
    assert page.next_link is not None
    assert "skiptoken" in page.next_link


def test_recorded_instance_views_give_the_state(recorded: Path, driver: AzureDriver) -> None:
    states = set()
    raw = {"id": "/x", "name": "x", "location": "eastus", "properties": {}}
    machine = read(raw, VirtualMachine, "")
    for answer in answers(recorded, "InstanceView"):
        view = read(answer, InstanceView, "")
        node = from_azure(
            driver.to_node(raw),
            machine,
            None,
            view.statuses or (),
            Addresses({}, {}),
            lambda *_: None,
            public=True,
        )
        states.add(node.state)
    assert states <= {NodeState.RUNNING, NodeState.STOPPED, NodeState.PENDING}
    assert NodeState.RUNNING in states


def test_recorded_interfaces_and_addresses_are_read(recorded: Path) -> None:
    kinds: dict[str, type[Interface] | type[PublicAddress]] = {
        "networkInterfaces": Interface,
        "publicIPAddresses": PublicAddress,
    }
    for part, shape in kinds.items():
        found = [one for each in answers(recorded, part) for one in each.get("value", [each])]
        identified = [one for one in found if "id" in one]  # one was recorded without
        assert identified
        for one in identified:
            assert read(one, shape, "").id


def test_the_recorded_login_is_read(recorded: Path) -> None:
    for path in recorded.glob("*oauth2_token.json"):
        token = msgspec.json.decode(path.read_bytes(), type=Token)
        assert token.access_token
        assert int(token.expires_in) == 3600
