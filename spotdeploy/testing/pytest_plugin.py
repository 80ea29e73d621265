"""Fixtures for the tests of plugins, and of projects that are deployed with spotdeploy. Loading it
imports nothing of spotdeploy's but this module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from spotdeploy.testing import FakeCloud, FakeProvider, ManualClock, ScriptedConnection
    from spotdeploy.testing.nodes import VerifiedNode

NOT_TRIED = "not tried: "
"""With this begins why a test was skipped that the lab could have shown."""

pytest.register_assert_rewrite(
    "spotdeploy.testing.provider_contract", "spotdeploy.testing.check_contract"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `spotdeploy_nodes`."""
    group = parser.getgroup("spotdeploy")
    group.addoption(
        "--spotdeploy-config",
        default="spotdeploy.toml",
        metavar="FILE",
        help="The config whose nodes the fixture spotdeploy_nodes gives.",
    )
    group.addoption(
        "--spotdeploy-provider",
        action="append",
        metavar="NAME",
        help="A provider for them, instead of the config's. Repeatable.",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line why tests of a contract were not tried."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = [
        str(report.longrepr[-1]).removeprefix("Skipped: ")
        for report in reporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    ]
    for reason, count in Counter(skipped).items():
        if reason.startswith(NOT_TRIED):
            reporter.write_line(f"{count} {reason}")


@pytest.fixture(scope="session")
def spotdeploy_nodes(pytestconfig: pytest.Config) -> Iterator[tuple[VerifiedNode, ...]]:
    """The nodes of a project, fresh and verified, each with its connection: made by a cycle before
    the first test that asks for them, and destroyed after the last."""
    from spotdeploy.testing.nodes import verified_nodes

    config = pytestconfig.rootpath / str(pytestconfig.getoption("--spotdeploy-config"))
    with verified_nodes(Path(config), pytestconfig.getoption("--spotdeploy-provider")) as nodes:
        yield nodes


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
