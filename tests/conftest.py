"""What every test gets: an environment of its own, and logging as it was."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Restore the environment after each test, and keep cloud credentials and the user's own
    state out of it."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "SPOTDEPLOY_", "GITHUB_")):
            del os.environ[name]
    home = tmp_path_factory.mktemp("home")
    os.environ.update(HOME=str(home), XDG_STATE_HOME=str(home / "state"))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[1]
