"""Fixtures for the tests of plugins. Loading it imports nothing of spotdeploy's but this module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from spotdeploy.testing import FakeCloud, FakeProvider, ManualClock, ScriptedConnection

pytest.register_assert_rewrite(
    "spotdeploy.testing.provider_contract", "spotdeploy.testing.check_contract"
)


@pytest.fixture
def fake_clock() -> ManualClock:
    """A clock that only moves when it is told to."""
    from spotdeploy.testing import ManualClock

    return ManualClock()


@pytest.fixture
def fake_cloud(fake_clock: ManualClock) -> FakeCloud:
    """An empty cloud in memory, on `fake_clock`. Script its faults with `fake_cloud.script`."""
    from spotdeploy.testing import FakeCloud

    return FakeCloud(clock=fake_clock)


@pytest.fixture
def fake_provider(fake_cloud: FakeCloud) -> FakeProvider:
    """The provider of `fake_cloud`, in its location "here"."""
    from spotdeploy.testing import FakeConfig, FakeProvider

    return FakeProvider(FakeConfig(), "here", fake_cloud)


@pytest.fixture
def scripted_connection() -> Callable[..., ScriptedConnection]:
    """Makes connections whose answers are written down beforehand: the class itself."""
    from spotdeploy.testing import ScriptedConnection

    return ScriptedConnection
