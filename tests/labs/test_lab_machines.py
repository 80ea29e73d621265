"""Each cloud's provider against its lab with real machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from spotdeploy.model import FateKind, NodeState
from spotdeploy.ports import PortRange
from tests.labs.clouds import AnyMachineLab, Cloud
from tests.labs.lab_project import assert_as_published
from tests.labs.lab_user import SCOPE, LabUser, eventually
from tests.labs.machine_network import MachineNetwork

pytestmark = pytest.mark.machines
METADATA = "http://169.254.169.254"
STATUS = "curl -s -o /dev/null -w '%{http_code}'"
GREET = "timeout 2 bash -c 'head -n 1 </dev/tcp/$0/$1' 2>/dev/null"
"""The first line of an address and a port."""
EC2_TOKEN = (
    f"curl -s -X PUT {METADATA}/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 9'"
)


@dataclass(frozen=True)
class Expected:
    """What is told in each cloud's own way."""

    leftover: str
    """The kind of what outlives the machines until it is released; "" is nothing."""
    stays: bool
    """Whether a machine that shut itself down is there until it is destroyed."""
    shut_down: str
    """How such an end is told."""
    hostname: str
    """Which of a node's attributes it is."""
    metadata: str
    """What reads the metadata service on a node, and where it has the node's name."""
    header: str
    """What its readers must send."""
    refusal: str
    """The HTTP status without that."""
    user_data: str = ""
    """Where the node's user-data is; "" where it comes another way."""


EXPECTED: Mapping[str, Expected] = {
    "aws": Expected(
        leftover="security group",
        stays=False,
        shut_down="Instance initiated shutdown",
        hostname="id",
        metadata=f"{METADATA}/latest/meta-data/instance-id",
        header=f"X-aws-ec2-metadata-token: $({EC2_TOKEN})",
        refusal="401",
        user_data=f"{METADATA}/latest/user-data",
    ),
    "gcp": Expected(
        leftover="firewall rule",
        stays=True,
        shut_down="compute.instances.guestTerminate",
        hostname="name",
        metadata=f"{METADATA}/computeMetadata/v1/instance/name",
        header="Metadata-Flavor: Google",
        refusal="403",
        user_data=f"{METADATA}/computeMetadata/v1/instance/attributes/user-data",
    ),
    "azure": Expected(
        leftover="",
        stays=True,
        shut_down="VM stopped",
        hostname="name",
        metadata=f"'{METADATA}/metadata/instance/compute?api-version=2021-02-01'",
        header="Metadata: true",
        refusal="400",
    ),
}


@pytest.fixture
def expected(cloud: Cloud) -> Expected:
    """What it tells in its own way."""
    return EXPECTED[cloud.name]


@pytest.fixture
def lab(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_network: MachineNetwork
) -> Iterator[AnyMachineLab]:
    """A lab that is found by the environment."""
    with cloud.lab(tmp_path, machine_network) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        yield lab
        assert_as_published(lab)


@pytest.fixture
def user(cloud: Cloud, lab: AnyMachineLab, tmp_path: Path) -> LabUser:
    """Someone with a provider and keys."""
    return LabUser(lab, cloud, tmp_path / "keys")


def test_a_node_is_a_real_machine_at_its_public_address_and_leaves_nothing(
    user: LabUser, expected: Expected
) -> None:
    nodes = user.create(2)
    assert {node.state for node in nodes} <= {NodeState.PENDING, NodeState.RUNNING}
    running = eventually(user.nodes, lambda seen: all(n.state is NodeState.RUNNING for n in seen))
    assert {node.id for node in running} == {node.id for node in nodes}
    for node in running:
        name, addresses = user.output(node, "hostname; ip -brief address").split("\n", 1)
        assert name == getattr(node, expected.hostname)
        assert str(node.address) in addresses
        assert str(node.private_address) in addresses
    assert "systemd" in user.call(lambda: user.provider.console(running[0]))
    user.call(lambda: user.provider.destroy(running))
    assert eventually(user.lab.machines, lambda machines: not machines) == []
    assert eventually(user.nodes, lambda seen: not seen) == []
    kinds = [expected.leftover] if expected.leftover else []
    left = eventually(
        lambda: user.call(lambda: user.provider.leftovers(SCOPE)),
        lambda seen: sorted({thing.kind for thing in seen}) == kinds,
    )
    user.call(lambda: user.provider.release(left))
    assert user.call(lambda: user.provider.leftovers(SCOPE)) == []
    assert user.lab.remains() == []


def test_a_node_reads_its_own_interruption_notice_and_is_then_taken_back(user: LabUser) -> None:
    node, other = user.create(2)
    shell = user.provider.notice_command()[-1]
    assert user.output(node, shell) == ""
    assert user.provider.notice("") is None
    user.lab.notify(node.id)
    announced = user.provider.notice(user.output(node, shell))
    assert announced is not None
    assert announced.kind is FateKind.INTERRUPTED
    assert user.output(other, shell) == ""
    user.lab.interrupt(node.id)
    eventually(user.lab.machines, lambda machines: len(machines) == 1)
    assert user.ssh(node, "true").returncode == 255
    assert user.call(lambda: user.provider.fate(node)).kind is FateKind.INTERRUPTED
    assert user.call(lambda: user.provider.fate(other)).kind is FateKind.ALIVE


@pytest.mark.parametrize("port", [22, 8022])
def test_nodes_reach_one_another_where_the_clouds_rules_let_them(user: LabUser, port: int) -> None:
    node, other = user.create(2, between=(PortRange(port),))
    assert other.private_address
    (there,) = [one for one in user.nodes() if one.id == other.id]
    user.output(there, "true")
    greeting = user.output(node, f"{GREET} {there.private_address} 22 || echo shut")
    assert greeting.startswith("SSH-2.0" if port == 22 else "shut")
    assert user.output(node, f"{GREET} {there.address} 22 || echo shut") == "shut\n"


def test_a_node_that_powers_off_is_stopped_and_kept_only_where_the_cloud_keeps_it(
    user: LabUser, expected: Expected
) -> None:
    (node,) = user.create(1)
    user.output(node, "true")
    user.ssh(node, "sudo systemctl poweroff")
    if expected.stays:
        (left,) = eventually(user.nodes, lambda seen: seen[0].state is NodeState.STOPPED)
    else:
        eventually(user.nodes, lambda seen: not seen)
        left = node
    fate = user.call(lambda: user.provider.fate(left))
    assert fate.kind is FateKind.STOPPED
    assert expected.shut_down in fate.message
    user.call(lambda: user.provider.destroy([left]))
    eventually(user.lab.machines, lambda machines: not machines)
    eventually(user.nodes, lambda seen: not seen)


def test_metadata_needs_its_header_and_nothing_else_is_reachable(
    user: LabUser, expected: Expected
) -> None:
    (node,) = user.create(1)
    assert user.output(node, f"{STATUS} {expected.metadata}") == expected.refusal
    answer = user.output(node, f'curl -s -H "{expected.header}" {expected.metadata}')
    assert getattr(node, expected.hostname) in answer
    if expected.user_data:
        data = user.output(node, f'curl -s -H "{expected.header}" {expected.user_data}')
        assert "spotdeploy-time-to-live" in data
    assert user.ssh(node, "curl -sm 2 http://192.0.2.1/").returncode != 0
