"""The provider contract, kept by containers of podman."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from spotdeploy.model import Node
from spotdeploy.provider import Provider, ProviderConfig
from spotdeploy.testing import Facts, Powers, ProviderContract
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engines.container import commands
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.image.recipe import USER_DATA
from spotdeploy_local.provider import LocalProvider
from tests.providers.local.container_bench import ContainerBench


@dataclass(frozen=True)
class SmallHost(ContainerEngine):
    """A host whose memory the test decides about."""

    limit: list[int] = field(default_factory=list)

    def room(self) -> int:
        return min([super().room(), *self.limit])


@pytest.mark.machines
class TestPodmanContract(ProviderContract):
    @pytest.fixture
    def engine(self, podman: ContainerBench) -> SmallHost:
        return SmallHost("podman", podman.engine.layout)

    @pytest.fixture
    def provider_class(self) -> type[LocalProvider]:
        return LocalProvider

    @pytest.fixture
    def config(self) -> ProviderConfig:
        return LocalConfig(engine="podman")

    @pytest.fixture
    def make_provider(
        self, provider_class: type[Provider[Any]], config: ProviderConfig, engine: SmallHost
    ) -> Callable[[], Provider[Any]]:
        assert isinstance(config, LocalConfig)
        return lambda: LocalProvider(config, "local", engine)

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(free=True, unknown_id="never-was-1", page_size=2, test_within=300.0, poll=0.1)

    @pytest.fixture
    def powers(self, engine: SmallHost, podman: ContainerBench) -> Powers:
        def user_data(node: Node) -> bytes:
            place = f"{commands.container_name(engine.layout.key, node.id)}:{USER_DATA}"
            return _only_file(podman.copied(place))

        return Powers(
            no_capacity=lambda: engine.limit.append(0),
            limit_to=engine.limit.append,
            stop=lambda node: engine.stop([node.id]),
            interrupt=lambda node: engine.preempt(node.id),
            vanish=lambda node: engine.destroy([node.id]),
            user_data_of=user_data,
            inventory=podman.remains,
            remains=lambda _: podman.remains(),
            heal=engine.limit.clear,
        )


def _only_file(packed: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        (entry,) = tar.getmembers()
        content = tar.extractfile(entry)
        assert content
        return content.read()
