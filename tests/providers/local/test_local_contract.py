"""The provider contract, kept by real machines on this host."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from spotdeploy.model import Node
from spotdeploy.testing import Facts, Powers
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.image.recipe import USER_DATA
from tests.providers.local.engine_contract import LocalContract
from tests.providers.local.nspawn_bench import Bench


@dataclass(frozen=True)
class SmallHost(NspawnEngine):
    """A host whose memory the test decides about."""

    limit: list[int] = field(default_factory=list)

    def room(self) -> int:
        return min([super().room(), *self.limit])


@pytest.mark.machines
class TestLocalContract(LocalContract):
    @pytest.fixture
    def engine(self, bench: Bench) -> SmallHost:
        return SmallHost(bench.engine.layout)

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(free=True, unknown_id="never-was-1", page_size=2, test_within=300.0, poll=0.02)

    @pytest.fixture
    def powers(self, engine: SmallHost, bench: Bench) -> Powers:
        def interrupt(node: Node) -> None:
            engine.preempt(node.id)

        def user_data(node: Node) -> bytes:
            return (engine.layout.machine(node.id) / f"upper/tree{USER_DATA}").read_bytes()

        return Powers(
            no_capacity=lambda: engine.limit.append(0),
            limit_to=engine.limit.append,
            stop=lambda node: engine.stop([node.id]),
            interrupt=interrupt,
            vanish=lambda node: engine.destroy([node.id]),
            user_data_of=user_data,
            reaches=lambda source, target, port: bench.reaches(source.id, target.id, port),
            inventory=bench.remains,
            remains=lambda _: bench.remains(),
            heal=engine.limit.clear,
        )
