"""The pytest plugin and the fake's entry point cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from spotdeploy import testing
from spotdeploy.plugins import Plugins
from spotdeploy.testing import FakeCloud, FakeProvider, ManualClock, ScriptedConnection

HEAVY = {"asyncssh", "asyncio", "botocore", "libcloud", "msgspec", "filelock", "typer"}


def modules_after(code: str) -> set[str]:
    """The top-level modules that are imported after some code, in a process of its own."""
    show = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + show], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    points = metadata.entry_points(group="pytest11", name="spotdeploy")
    assert {point.value for point in points} == {"spotdeploy.testing.pytest_plugin"}


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    before = modules_after("import pytest")
    after = modules_after("import pytest, spotdeploy.testing.pytest_plugin")
    assert after - before == {"spotdeploy"}


def test_importing_the_testing_package_imports_neither_pytest_nor_anything_heavy() -> None:
    assert not modules_after("import spotdeploy.testing") & (HEAVY | {"pytest"})


def test_using_the_fake_provider_needs_no_pytest() -> None:
    assert "pytest" not in modules_after("from spotdeploy.testing import FakeProvider, FakeCloud")


def test_the_fixtures_belong_together(
    fake_clock: ManualClock, fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    assert fake_provider.cloud is fake_cloud
    assert fake_cloud.clock is fake_clock


def test_the_connection_fixture_makes_connections(
    scripted_connection: type[ScriptedConnection],
) -> None:
    assert isinstance(scripted_connection(reachable=False), ScriptedConnection)


@pytest.mark.parametrize("name", dir(testing))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(testing, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Kontract"):
        testing.Kontract  # noqa: B018  # asking is the test


def test_the_fake_is_a_provider_like_any_other(tmp_path: Path) -> None:
    assert Plugins(tmp_path).provider("fake") is FakeProvider
