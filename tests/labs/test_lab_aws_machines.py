"""The AWS provider against the lab with real machines."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from spotdeploy import keys, labels
from spotdeploy.bootstrap import Bootstrap
from spotdeploy.model import Batch, FateKind, Market, Node, NodeState, Offer
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from spotdeploy_local.layout import Layout
from spotdeploy_local.nspawn import NspawnEngine
from tests.labs.aws import MachineLab

pytestmark = pytest.mark.machines
T = TypeVar("T")

REGION = "us-west-2"
SCOPE = labels.scope("shop")
PATIENCE = 60.0


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MachineLab]:
    """A lab whose end proves that no machine and no network is left."""
    engine = NspawnEngine(Layout(tmp_path / "engine", Path("/var/cache/spotdeploy")))
    engine.prepare(print)
    with MachineLab(tmp_path, engine) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        yield lab
        assert lab.wrong == []
        assert lab.hypervisor.failures == []
    assert engine.machines() == []
    assert engine.leftovers() == []


@pytest.fixture
def user(tmp_path: Path, lab: MachineLab) -> User:
    """Someone with a provider and keys."""
    return User(lab, tmp_path / "keys")


class User:
    """Uses the provider from within the lab, as the core does: from one thread."""

    def __init__(self, lab: MachineLab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.keys = keys.make(folder, "shop")
        config = AwsConfig(address_service=lab.url, sizes=("t3.small",))
        self.provider = AwsProvider(config, REGION)

    def create(self, count: int, life: float = 3600.0) -> tuple[Node, ...]:
        batch = Batch(
            token="token-0",
            count=count,
            labels=labels.for_batch("shop", "run-0", "token-0", "d" * 32, time.time() + life),
            user_data=Bootstrap("deployer", self.keys, life).user_data(16384),
            user="deployer",
        )
        offer = Offer("aws", REGION, f"{REGION}a", "t3.small", Market.SPOT)
        return self.ask(lambda: self.provider.create(offer, batch).nodes)

    def nodes(self) -> list[Node]:
        return self.ask(lambda: list(self.provider.nodes(SCOPE)))

    def ask(self, question: Callable[[], T]) -> T:
        return self.lab.place.run(question)

    def ssh(self, node: Node, command: str) -> subprocess.CompletedProcess[str]:
        options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.folder / 'known'}",
                   "BatchMode=yes", "ConnectTimeout=3", "LogLevel=ERROR"]  # fmt: skip
        (self.folder / "known").write_text(f"* {self.keys.bootstrap_host.public}\n")
        given = [part for option in options for part in ("-o", option)]
        key = str(keys.login_path(self.folder))
        return subprocess.run(
            [*self.lab.place.enter, "ssh", "-i", key, *given, f"deployer@{node.address}", command],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip

    def say(self, node: Node, command: str) -> str:
        """What a command prints, once ssh answers."""
        return eventually(lambda: self.ssh(node, command), lambda done: done.returncode == 0).stdout


def eventually(look: Callable[[], T], good: Callable[[T], object]) -> T:
    """Wait until something real becomes true."""
    deadline = time.monotonic() + PATIENCE
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"it did not become true in time: {seen}"
        time.sleep(0.1)
    return seen


def test_a_node_is_a_real_machine_at_its_public_address_and_leaves_nothing(user: User) -> None:
    nodes = user.create(2)
    assert {node.state for node in nodes} == {NodeState.PENDING}
    running = eventually(user.nodes, lambda seen: all(n.state is NodeState.RUNNING for n in seen))
    assert {node.id for node in running} == {node.id for node in nodes}
    for node in running:
        name, addresses = user.say(node, "hostname; ip -brief address").split("\n", 1)
        assert name == node.id
        assert str(node.address) in addresses
        assert str(node.private_address) in addresses
    assert "ssh" in user.ask(lambda: user.provider.console(running[0])).lower()
    user.ask(lambda: user.provider.destroy(running))
    assert eventually(user.lab.machines, lambda machines: not machines) == []
    assert user.nodes() == []
    left = user.ask(lambda: user.provider.leftovers(SCOPE))
    assert [thing.kind for thing in left] == ["security group"]
    user.ask(lambda: user.provider.release(left))
    assert user.ask(lambda: user.provider.leftovers(SCOPE)) == []
    assert user.lab.instances(REGION) == {}


def test_a_node_reads_its_own_interruption_notice_and_is_then_taken_back(user: User) -> None:
    (node,) = user.create(1)
    shell = user.provider.notice_command()[-1]
    assert user.say(node, shell) == ""
    assert user.provider.notice("") is None
    user.lab.notify(node.id)
    announced = user.provider.notice(user.say(node, shell))
    assert announced is not None
    assert announced.kind is FateKind.INTERRUPTED
    user.lab.interrupt(node.id)
    eventually(user.lab.machines, lambda machines: not machines)
    fate = user.ask(lambda: user.provider.fate(node))
    assert fate.kind is FateKind.INTERRUPTED
    assert user.ssh(node, "true").returncode == 255


def test_a_node_that_powers_off_is_terminated_and_not_kept(user: User) -> None:
    (node,) = user.create(1)
    user.say(node, "true")
    user.ssh(node, "sudo systemctl poweroff")
    eventually(user.nodes, lambda seen: not seen)
    eventually(user.lab.machines, lambda machines: not machines)
    fate = user.ask(lambda: user.provider.fate(node))
    assert fate.kind is FateKind.STOPPED
    assert "Instance initiated shutdown" in fate.words


def test_metadata_needs_a_token_and_nothing_else_is_reachable(user: User) -> None:
    (node,) = user.create(1)
    base = "http://169.254.169.254/latest"
    code = f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id"
    assert user.say(node, code) == "401"
    token = f"curl -s -X PUT {base}/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 9'"
    header = f'-H "X-aws-ec2-metadata-token: $({token})"'
    assert user.say(node, f"curl -s {header} {base}/meta-data/instance-id") == node.id
    assert "spotdeploy-time-to-live" in user.say(node, f"curl -s {header} {base}/user-data")
    assert user.ssh(node, "curl -sm 2 http://192.0.2.1/").returncode != 0
