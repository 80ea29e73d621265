"""The GCP provider against the lab with real machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.config.load import decode
from spotdeploy.model import FateKind, Market, NodeState, Offer
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import MachineLab
from tests.labs.lab_project import assert_as_published
from tests.labs.lab_user import SCOPE, LabUser, eventually
from tests.labs.machine_network import MachineNetwork

pytestmark = pytest.mark.machines
User = LabUser[MachineLab, GcpProvider]

REGION = "us-central1"


@pytest.fixture
def lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_network: MachineNetwork
) -> Iterator[MachineLab]:
    """A lab that is found by the environment."""
    with MachineLab(tmp_path, machine_network) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        yield lab
        assert_as_published(lab)


@pytest.fixture
def user(tmp_path: Path, lab: MachineLab) -> User:
    """Someone with a provider and keys."""
    config = decode({**lab.table, "sizes": ["e2-small"]}, GcpConfig, "lab")
    offer = Offer("gcp", REGION, f"{REGION}-a", "e2-small", Market.SPOT)
    provider = GcpProvider(config, REGION)
    return LabUser(
        lab, tmp_path / "keys", provider, offer, lambda node: lab.instance(node.name).public
    )


def test_a_gcp_node_is_a_real_machine_at_its_public_address_and_leaves_nothing(user: User) -> None:
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
    assert user.nodes() == []
    left = user.call(lambda: user.provider.leftovers(SCOPE))
    assert {thing.kind for thing in left} == {"firewall rule"}
    user.call(lambda: user.provider.release(left))
    assert user.call(lambda: user.provider.leftovers(SCOPE)) == []


def test_a_gcp_node_reads_its_own_preemption_notice_and_is_then_taken_back(user: User) -> None:
    (node,) = user.create(1)
    shell = user.provider.notice_command()[-1]
    assert user.output(node, shell) == ""
    user.lab.notify(node.name)
    announced = user.provider.notice(user.output(node, shell))
    assert announced is not None
    assert announced.kind is FateKind.INTERRUPTED
    user.lab.preempt(node.name)
    eventually(user.lab.machines, lambda machines: not machines)
    assert user.call(lambda: user.provider.fate(node)).kind is FateKind.INTERRUPTED


def test_a_gcp_node_that_powers_off_is_terminated_with_its_disk_until_it_is_destroyed(
    user: User,
) -> None:
    (node,) = user.create(1)
    user.output(node, "true")
    user.ssh(node, "sudo systemctl poweroff")
    (left,) = eventually(user.nodes, lambda seen: seen[0].state is NodeState.STOPPED)
    fate = user.call(lambda: user.provider.fate(left))
    assert (fate.kind, fate.message.split()[0]) == (FateKind.STOPPED, "TERMINATED:")
    assert "compute.instances.guestTerminate" in fate.message
    user.call(lambda: user.provider.destroy([left]))
    eventually(user.lab.machines, lambda machines: not machines)
    assert user.nodes() == []


def test_gcp_metadata_needs_its_header_and_nothing_else_is_reachable(user: User) -> None:
    (node,) = user.create(1)
    base = "http://169.254.169.254/computeMetadata/v1/instance"
    assert user.output(node, f"curl -s -o /dev/null -w '%{{http_code}}' {base}/name") == "403"
    header = "-H 'Metadata-Flavor: Google'"
    assert user.output(node, f"curl -s {header} {base}/name") == node.name
    data = user.output(node, f"curl -s {header} {base}/attributes/user-data")
    assert "spotdeploy-time-to-live" in data
    assert user.ssh(node, "curl -sm 2 http://192.0.2.1/").returncode != 0
