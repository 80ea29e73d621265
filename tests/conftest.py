"""What every test gets: an environment of its own, and logging as it was."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdeploy import text
from tests.fake_project import FakeProject


def pytest_configure() -> None:
    """Let SIGHUP end a process, as it does where nobody runs the tests under nohup: commands that
    they start inherit that it is ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Restore the environment after each test, and keep cloud credentials and the user's own
    state out of it."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("AWS_", "CLOUDSDK_", "GOOGLE_", "AZURE_", "SPOTDEPLOY_", "GITHUB_")):
            del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ.update(HOME=str(home), XDG_STATE_HOME=str(home / "state"))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    """What one test hides as a secret is no secret in the next."""
    yield
    text._hidden.clear()


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def fake_project(tmp_path: Path) -> Iterator[Callable[..., FakeProject]]:
    """Makes projects in a fake cloud, each with a journal and a run of its own."""
    made: list[FakeProject] = []

    def make(**options: Any) -> FakeProject:
        made.append(FakeProject(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for one in made:
        one.run.close()


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[1]
