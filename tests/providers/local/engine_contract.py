"""What the contract needs of local machines, whatever their engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spotdeploy.provider import Provider, ProviderConfig
from spotdeploy.testing import ProviderContract
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import Engine
from spotdeploy_local.provider import LocalProvider


class LocalContract(ProviderContract):
    """Needs a fixture `engine`."""

    @pytest.fixture
    def provider_class(self) -> type[LocalProvider]:
        return LocalProvider

    @pytest.fixture
    def config(self) -> ProviderConfig:
        return LocalConfig()

    @pytest.fixture
    def make_provider(
        self, provider_class: type[Provider[Any]], config: ProviderConfig, engine: Engine
    ) -> Callable[[], Provider[Any]]:
        assert isinstance(config, LocalConfig)
        return lambda: LocalProvider(config, "local", engine)
