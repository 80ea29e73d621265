"""A run may open as many files as its nodes need."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest

from spotdeploy.cycle.runbook import run_cycle
from spotdeploy.cycle.runner import allow_files
from spotdeploy.errors import HostError
from tests.fake_project import FakeProject, keeping


@pytest.fixture(autouse=True)
def low_limit() -> Iterator[None]:
    """A shell that allows few."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_to_what_the_nodes_need() -> None:
    allow_files(128)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512


def test_a_limit_that_is_enough_stays() -> None:
    allow_files(0)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256


def test_more_nodes_than_files_are_refused_with_what_to_do() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with pytest.raises(
        HostError, match=f"{hard} nodes may need {2 * hard + 256} open files"
    ) as reported:
        allow_files(hard)
    assert f"ulimit -Hn {2 * hard + 256}" in str(reported.value.hint)


async def test_a_cycle_of_too_many_nodes_is_refused_before_anything_is_asked(
    fake_project: Callable[..., FakeProject],
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    many = fake_project(count=hard)
    with pytest.raises(HostError):
        await run_cycle(keeping(many.run, "never"))
    assert many.existing() == 0
    assert many.ears.received == []
