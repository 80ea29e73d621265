"""The provider `local` as the core sees it, on real machines."""

from __future__ import annotations

import subprocess

import pytest
from msgspec.structs import replace

from spotdeploy import labels as label
from spotdeploy.errors import CapacityError
from spotdeploy.model import Batch, FateKind, Market, MarketPolicy, Node, NodeState, Pool
from spotdeploy_local import convert
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import Leftover, Machine, MachineState
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from spotdeploy_local.provider import LocalProvider
from tests.providers.local_machines import Bench, eventually

LABELS = {label.DEPLOYMENT: "bench", label.RUN: "r1", label.BATCH: "token"}
BATCH = Batch("token", 2, LABELS, b"", "ops", open_ports=(22,))


@pytest.fixture
def provider(bench: Bench) -> LocalProvider:
    return LocalProvider(LocalConfig(), "local", bench.engine)


def create(provider: LocalProvider, batch: Batch = BATCH) -> tuple[Node, ...]:
    (offer,) = provider.offers(Pool(batch.count))
    return provider.create(offer, batch).nodes


@pytest.mark.machines
def test_a_batch_is_created_listed_by_label_and_destroyed(
    provider: LocalProvider, bench: Bench
) -> None:
    nodes = create(provider)
    assert [node.name for node in nodes] == ["bench-1", "bench-2"]
    assert {node.state for node in nodes} == {NodeState.RUNNING}
    assert all(node.labels == LABELS and node.usd_per_hour == 0.0 for node in nodes)
    assert provider.nodes(label.scope("bench")) == list(nodes)
    assert provider.nodes(label.scope("other")) == []
    provider.destroy(nodes)
    provider.destroy(nodes)
    assert provider.nodes(label.scope("bench")) == []
    assert provider.leftovers(label.scope("bench")) == []
    assert bench.remains() == []


@pytest.mark.machines
def test_the_same_token_never_makes_a_second_set(provider: LocalProvider) -> None:
    assert create(provider) == create(provider)
    more = create(provider, replace(BATCH, token="another", count=1))
    assert [node.name for node in more] == ["bench-3"]
    assert len(provider.nodes(label.scope("bench"))) == 3


@pytest.mark.machines
def test_a_node_is_dialled_and_its_console_is_read(provider: LocalProvider) -> None:
    (node,) = create(provider, replace(BATCH, count=1))

    def greets() -> bool:
        try:
            with provider.dial(node, 22, 1.0) as connection:
                return connection.recv(3) == b"SSH"
        except OSError:
            return False

    eventually(greets)
    assert "Welcome to Debian" in provider.console(node)
    with subprocess.Popen(
        provider.proxy_command(node, 22), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bridge:
        assert bridge.stdout
        assert bridge.stdout.readline().startswith(b"SSH-2.0")


@pytest.mark.machines
def test_each_fate_is_told_apart(provider: LocalProvider, bench: Bench) -> None:
    alive, interrupted, stopped, gone = create(provider, replace(BATCH, count=4))
    bench.engine.preempt(interrupted.id, notice_seconds=0.1)
    bench.engine.stop([stopped.id])
    provider.destroy([gone])
    kinds = [provider.fate(node).kind for node in (alive, interrupted, stopped, gone)]
    assert kinds == [
        FateKind.ALIVE,
        FateKind.INTERRUPTED,
        FateKind.STOPPED,
        FateKind.VANISHED,
    ]
    assert provider.fate(interrupted).message == "interrupted by request with 0.1 s notice"
    assert provider.fate(stopped).message == "its power was cut"
    states = {node.id: node.state for node in provider.nodes(label.scope("bench"))}
    assert states == {
        alive.id: NodeState.RUNNING,
        interrupted.id: NodeState.STOPPED,
        stopped.id: NodeState.STOPPED,
    }


@pytest.mark.machines
def test_a_forgotten_network_is_a_leftover_of_its_deployment_only(
    provider: LocalProvider, bench: Bench
) -> None:
    bench.engine.hold_network("bench")
    bench.engine.lifecycle.networks().drop("bench")
    assert provider.leftovers(label.scope("other")) == []
    (left,) = provider.leftovers(label.scope("bench"))
    assert (left.kind, left.id) == ("network", "bench")
    provider.release([left])
    provider.release([left])
    assert bench.remains() == []


def test_every_market_of_the_pool_is_offered_at_no_price() -> None:
    provider = LocalProvider(LocalConfig(), "local")
    offers = provider.offers(Pool(3, MarketPolicy.SPOT_THEN_ON_DEMAND, max_usd_per_hour=0.01))
    assert [offer.market for offer in offers] == [Market.SPOT, Market.ON_DEMAND]
    assert {offer.usd_per_hour for offer in offers} == {0.0}


def test_a_listing_without_labels_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        LocalProvider(LocalConfig(), "local").nodes({})


def test_a_host_without_memory_has_no_capacity() -> None:
    class Full(NspawnEngine):
        def room(self) -> int:
            return 0

    provider = LocalProvider(LocalConfig(), "local", Full(Layout.from_environment()))
    (offer,) = provider.offers(Pool(1))
    with pytest.raises(CapacityError, match="no memory for another machine"):
        provider.create(offer, BATCH)


def test_names_skip_those_in_use() -> None:
    assert convert.free_names("web", {"web-1", "web-3"}, 3) == ["web-2", "web-4", "web-5"]


def test_a_deployment_with_underscores_gives_valid_host_names() -> None:
    offer = LocalProvider(LocalConfig(), "local").offers(Pool(1))[0]
    batch = replace(BATCH, labels={label.DEPLOYMENT: "my_app_" + "x" * 50})
    (spec, _) = convert.specs(offer, batch, [], cloud_init=False)
    assert spec.name == "my-app-" + "x" * 43 + "-1"
    assert spec.network == batch.labels[label.DEPLOYMENT]


def test_a_leftover_that_names_no_owner_belongs_to_whoever_asks() -> None:
    asked = label.scope("bench")
    assert convert.resource(Leftover("cgroup", "x"), asked).labels == asked
    theirs = Leftover("folder", "x", label.scope("theirs"))
    assert convert.resource(theirs, asked).labels == label.scope("theirs")


def test_the_market_is_remembered() -> None:
    machine = Machine("i", "n", MachineState.STOPPED, "net", "10.77.0.2", (), LABELS, 1.0)
    assert convert.node(machine).market is Market.SPOT
    told = replace(machine, details={"market": "on-demand", "size": "container"})
    assert convert.node(told).market is Market.ON_DEMAND
