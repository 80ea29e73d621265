"""The provider contract, kept by real machines on this host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from spotdeploy.model import Node
from spotdeploy.provider import Provider, ProviderConfig
from spotdeploy.testing import Facts, Powers, ProviderContract
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.image.recipe import USER_DATA
from spotdeploy_local.provider import LocalProvider
from tests.providers.local.nspawn_bench import Bench


@dataclass(frozen=True)
class SmallHost(NspawnEngine):
    """A host whose memory the test decides about."""

    limit: list[int] = field(default_factory=list)

    def room(self) -> int:
        return min([super().room(), *self.limit])


@pytest.mark.machines
class TestLocalContract(ProviderContract):
    @pytest.fixture
    def engine(self, bench: Bench) -> SmallHost:
        return SmallHost(bench.engine.layout)

    @pytest.fixture
    def provider_class(self) -> type[LocalProvider]:
        return LocalProvider

    @pytest.fixture
    def config(self) -> ProviderConfig:
        return LocalConfig()

    @pytest.fixture
    def make_provider(
        self, provider_class: type[Provider[Any]], config: ProviderConfig, engine: SmallHost
    ) -> Callable[[], Provider[Any]]:
        assert isinstance(config, LocalConfig)
        return lambda: LocalProvider(config, "local", engine)

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
