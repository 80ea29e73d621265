"""Machines become nodes, and batches become machines."""

from __future__ import annotations

from msgspec.structs import replace

from spotdeploy import labels as label
from spotdeploy.model import Batch, Market, Pool
from spotdeploy_local import convert
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import Leftover, Machine, MachineState
from spotdeploy_local.provider import LocalProvider

LABELS = {label.DEPLOYMENT: "bench", label.RUN: "r1", label.BATCH: "token"}
BATCH = Batch("token", 2, LABELS, b"", "ops", open_ports=(22,))


def test_a_deployment_with_underscores_gives_valid_host_names() -> None:
    offer = LocalProvider(LocalConfig(), "local").offers(Pool(1))[0]
    batch = replace(BATCH, labels={label.DEPLOYMENT: "my_app_" + "x" * 50})
    (spec, _) = convert.specs(offer, batch, cloud_init=False)
    assert spec.name == "my-app-" + "x" * 43
    assert spec.numbered
    assert spec.network == batch.labels[label.DEPLOYMENT]


def test_a_leftover_that_names_no_owner_belongs_to_whoever_asks() -> None:
    asked = label.scope("bench")
    assert convert.resource(Leftover("cgroup", "x"), asked).labels == asked
    theirs = Leftover("folder", "x", label.scope("theirs"))
    assert convert.resource(theirs, asked).labels == label.scope("theirs")


def test_the_market_is_remembered() -> None:
    machine = Machine("i", "n", MachineState.STOPPED, "net", "10.77.0.2", (), LABELS, 1.0)
    assert convert.node(machine).market is Market.SPOT
    described = replace(machine, details={"market": "on-demand", "size": "container"})
    assert convert.node(described).market is Market.ON_DEMAND
