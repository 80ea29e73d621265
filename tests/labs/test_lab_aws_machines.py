"""The AWS provider against the lab with real machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.model import FateKind, Market, NodeState, Offer
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import MachineLab
from tests.labs.lab_project import assert_as_published
from tests.labs.lab_user import SCOPE, LabUser, eventually
from tests.labs.machine_network import MachineNetwork

pytestmark = pytest.mark.machines
User = LabUser[MachineLab, AwsProvider]

REGION = "us-west-2"


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
    config = AwsConfig(address_service=lab.url, sizes=("t3.small",))
    offer = Offer("aws", REGION, f"{REGION}a", "t3.small", Market.SPOT)
    return LabUser(lab, tmp_path / "keys", AwsProvider(config, REGION), offer)


def test_a_node_is_a_real_machine_at_its_public_address_and_leaves_nothing(user: User) -> None:
    nodes = user.create(2)
    assert {node.state for node in nodes} == {NodeState.PENDING}
    running = eventually(user.nodes, lambda seen: all(n.state is NodeState.RUNNING for n in seen))
    assert {node.id for node in running} == {node.id for node in nodes}
    for node in running:
        name, addresses = user.output(node, "hostname; ip -brief address").split("\n", 1)
        assert name == node.id
        assert str(node.address) in addresses
        assert str(node.private_address) in addresses
    assert "ssh" in user.call(lambda: user.provider.console(running[0])).lower()
    user.call(lambda: user.provider.destroy(running))
    assert eventually(user.lab.machines, lambda machines: not machines) == []
    assert user.nodes() == []
    left = user.call(lambda: user.provider.leftovers(SCOPE))
    assert [thing.kind for thing in left] == ["security group"]
    user.call(lambda: user.provider.release(left))
    assert user.call(lambda: user.provider.leftovers(SCOPE)) == []
    assert user.lab.instances(REGION) == {}


def test_a_node_reads_its_own_interruption_notice_and_is_then_taken_back(user: User) -> None:
    (node,) = user.create(1)
    shell = user.provider.notice_command()[-1]
    assert user.output(node, shell) == ""
    assert user.provider.notice("") is None
    user.lab.notify(node.id)
    announced = user.provider.notice(user.output(node, shell))
    assert announced is not None
    assert announced.kind is FateKind.INTERRUPTED
    user.lab.interrupt(node.id)
    eventually(user.lab.machines, lambda machines: not machines)
    fate = user.call(lambda: user.provider.fate(node))
    assert fate.kind is FateKind.INTERRUPTED
    assert user.ssh(node, "true").returncode == 255


def test_a_node_that_powers_off_is_terminated_and_not_kept(user: User) -> None:
    (node,) = user.create(1)
    user.output(node, "true")
    user.ssh(node, "sudo systemctl poweroff")
    eventually(user.nodes, lambda seen: not seen)
    eventually(user.lab.machines, lambda machines: not machines)
    fate = user.call(lambda: user.provider.fate(node))
    assert fate.kind is FateKind.STOPPED
    assert "Instance initiated shutdown" in fate.message


def test_metadata_needs_a_token_and_nothing_else_is_reachable(user: User) -> None:
    (node,) = user.create(1)
    base = "http://169.254.169.254/latest"
    code = f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id"
    assert user.output(node, code) == "401"
    token = f"curl -s -X PUT {base}/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 9'"
    header = f'-H "X-aws-ec2-metadata-token: $({token})"'
    assert user.output(node, f"curl -s {header} {base}/meta-data/instance-id") == node.id
    assert "spotdeploy-time-to-live" in user.output(node, f"curl -s {header} {base}/user-data")
    assert user.ssh(node, "curl -sm 2 http://192.0.2.1/").returncode != 0
