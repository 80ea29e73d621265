"""The provider `local` as the core sees it, on real machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy import labels as label
from spotdeploy.errors import CapacityError, HostError
from spotdeploy.model import Batch, FateKind, Market, MarketPolicy, Node, NodeState, Pool
from spotdeploy.ports import ALL_PORTS
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import STATE_VARIABLE, Layout
from spotdeploy_local.provider import LocalProvider
from tests.providers.local.nspawn_bench import Bench, eventually

LABELS = {label.DEPLOYMENT: "bench", label.RUN: "r1", label.BATCH: "token"}
BATCH = Batch("token", 2, LABELS, b"", "ops", open_ports=(22,))


@pytest.fixture
def provider(bench: Bench) -> LocalProvider:
    return LocalProvider(LocalConfig(), "local", bench.engine)


def create(provider: LocalProvider, batch: Batch = BATCH) -> tuple[Node, ...]:
    (offer,) = provider.offers(Pool(batch.count))
    return provider.create(offer, batch).nodes


def test_only_who_opens_ports_between_nodes_needs_what_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = NspawnEngine(Layout(tmp_path, tmp_path))
    provider = LocalProvider(LocalConfig(), "local", engine)
    asked = replace(BATCH, open_between=ALL_PORTS)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(provider.objections(Pool(2), BATCH)) == []
    (problem,) = provider.objections(Pool(2), asked)
    assert (problem.fatal, problem.exit_code) == (True, HostError.exit_code)
    assert "nftables" in problem.remedy


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
def test_each_fate_is_recognized(provider: LocalProvider, bench: Bench) -> None:
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
    with pytest.raises(ValueError, match="at least one label"):
        LocalProvider(LocalConfig(), "local").nodes({})


def test_a_host_without_memory_has_no_capacity() -> None:
    class Full(NspawnEngine):
        def room(self) -> int:
            return 0

    provider = LocalProvider(LocalConfig(), "local", Full(Layout.from_environment()))
    (offer,) = provider.offers(Pool(1))
    with pytest.raises(CapacityError, match="no memory for another machine"):
        provider.create(offer, BATCH)


def test_listing_machines_imports_nothing_that_changes_them(tmp_path: Path) -> None:
    heavy = ("filelock", "subprocess", "concurrent.futures", "hashlib", "asyncssh", "libcloud")
    code = (
        "import sys; from spotdeploy_local.provider import LocalProvider as P;"
        " P(P.Config(), 'local').nodes({'a': 'b'});"
        f" print([m for m in {heavy} if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, STATE_VARIABLE: str(tmp_path)},
    )
    assert printed.stdout == "[]\n"
