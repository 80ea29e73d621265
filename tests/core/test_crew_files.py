"""A run may open as many files as its nodes need."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from spotdeploy.crew import _allow_files


@pytest.fixture(autouse=True)
def low_limit() -> Iterator[None]:
    """A shell that allows few."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_to_what_the_nodes_need() -> None:
    assert _allow_files(512) == 512
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512


def test_a_limit_that_is_enough_stays() -> None:
    assert _allow_files(200) == 200
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256


def test_the_hard_limit_is_the_end() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert _allow_files(hard + 1) == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
