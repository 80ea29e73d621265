"""A host for the machines of labs, and the network they share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy_local.engine import LabEngine
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from tests.labs.clouds import CLOUDS, Cloud
from tests.labs.machine_network import MachineNetwork


@pytest.fixture(params=list(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of the three."""
    return CLOUDS[request.param]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LabEngine]:
    """An engine of its own, whose end proves that nothing is left on this host."""
    engine = NspawnEngine(Layout(tmp_path / "engine", Path("/var/cache/spotdeploy")))
    engine.prepare(print)
    yield engine
    assert engine.machines() == []
    assert engine.leftovers() == []


@pytest.fixture
def machine_network(engine: LabEngine) -> Iterator[MachineNetwork]:
    """A network without a way out, for the machines of one cloud or several."""
    with MachineNetwork(engine, f"lab-{secrets.token_hex(3)}") as machine_network:
        yield machine_network
