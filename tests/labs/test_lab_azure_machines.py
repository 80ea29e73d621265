"""The Azure provider against the lab with real machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.config.load import decode
from spotdeploy.model import FateKind, Market, NodeState, Offer
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import MachineLab
from tests.labs.lab_project import assert_as_published
from tests.labs.lab_user import POLL, SCOPE, LabUser, eventually
from tests.labs.machine_network import MachineNetwork

pytestmark = pytest.mark.machines
User = LabUser[MachineLab, AzureProvider]

LOCATION = "eastus"
SIZE = "Standard_D2as_v5"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, machine_network: MachineNetwork) -> Iterator[MachineLab]:
    """A lab that is found by the environment."""
    with MachineLab(machine_network) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        yield lab
        assert_as_published(lab)


@pytest.fixture
def user(tmp_path: Path, lab: MachineLab) -> User:
    """Someone with a provider and keys."""
    config = decode({**lab.table, "sizes": [SIZE]}, AzureConfig, "test")
    provider = AzureProvider(config, LOCATION, lambda _: time.sleep(POLL))
    offer = Offer("azure", LOCATION, None, SIZE, Market.SPOT)
    return LabUser(
        lab, tmp_path / "keys", provider, offer, lambda node: lab.machine(node.id).public_address
    )


def test_an_azure_node_is_a_real_machine_at_its_public_address_and_leaves_nothing(
    user: User,
) -> None:
    nodes = user.create(2)
    running = eventually(user.nodes, lambda seen: all(n.state is NodeState.RUNNING for n in seen))
    assert {node.id for node in running} == {node.id for node in nodes}
    for node in running:
        name, addresses = user.output(node, "hostname; ip -brief address").split("\n", 1)
        assert name == node.name
        assert str(node.address) in addresses
        assert str(node.private_address) in addresses
    assert "systemd" in user.call(lambda: user.provider.console(running[0]))
    user.call(lambda: user.provider.destroy(running))
    assert eventually(user.lab.machines, lambda machines: not machines) == []
    assert eventually(user.nodes, lambda seen: not seen) == []
    left = eventually(
        lambda: user.call(lambda: user.provider.leftovers(SCOPE)), lambda one: not one
    )
    assert left == []
    assert user.lab.remains() == []


def test_an_azure_node_reads_its_own_eviction_notice_and_is_then_taken_back(user: User) -> None:
    (node, other) = user.create(2)
    shell = user.provider.notice_command()[-1]
    assert user.output(node, shell) == ""
    user.lab.notify(node.id)
    announced = user.provider.notice(user.output(node, shell))
    assert announced is not None
    assert announced.kind is FateKind.INTERRUPTED
    assert user.output(other, shell) == ""
    user.lab.evict(node.id)
    eventually(user.lab.machines, lambda machines: len(machines) == 1)
    assert user.call(lambda: user.provider.fate(node)).kind is FateKind.INTERRUPTED
    assert user.call(lambda: user.provider.fate(other)).kind is FateKind.ALIVE


def test_an_azure_node_that_powers_off_is_stopped_and_exists_until_it_is_destroyed(
    user: User,
) -> None:
    (node,) = user.create(1)
    user.output(node, "true")
    user.ssh(node, "sudo systemctl poweroff")
    (left,) = eventually(user.nodes, lambda seen: seen[0].state is NodeState.STOPPED)
    assert left.cloud_state == "stopped"
    fate = user.call(lambda: user.provider.fate(left))
    assert fate.kind is FateKind.STOPPED
    assert "VM stopped" in fate.message
    user.call(lambda: user.provider.destroy([left]))
    eventually(user.lab.machines, lambda machines: not machines)
    eventually(user.nodes, lambda seen: not seen)


def test_azure_metadata_needs_its_header_and_nothing_else_is_reachable(user: User) -> None:
    (node,) = user.create(1)
    base = "'http://169.254.169.254/metadata/instance/compute?api-version=2021-02-01'"
    assert user.output(node, f"curl -s -o /dev/null -w '%{{http_code}}' {base}") == "400"
    assert node.name in user.output(node, f"curl -s -H Metadata:true {base}")
    assert user.ssh(node, "curl -sm 2 http://192.0.2.1/").returncode != 0
