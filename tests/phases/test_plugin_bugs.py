"""A provider with a bug, before anything is made: the infrastructure failed, a file says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spotdeploy.cycle.runbook import run_create, run_cycle
from spotdeploy.errors import ProviderError
from spotdeploy.model import Verdict
from spotdeploy.phases.plan import find_offers
from spotdeploy.run.trace import TRACES
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


async def test_a_bug_in_plan_is_a_refusal_that_names_the_place_and_the_trace(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Bug(call="offers", times=0)])
    with pytest.raises(ProviderError, match="asking fake here for offers: RecursionError") as told:
        await find_offers(here.run)
    assert TRACES in told.value.message
    assert "RecursionError" in (here.run.folder / TRACES).read_text("utf-8")


async def test_a_bug_in_the_listing_before_a_create_makes_nothing(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Bug(call="nodes", times=0)])
    with pytest.raises(ProviderError, match="listing the nodes: RecursionError"):
        await run_create(here.run)
    assert here.cloud.count("create") == 0


async def test_a_bug_in_account_fails_the_infrastructure_and_leaves_nothing(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Bug(call="account", at=2, times=0)])
    outcome = await run_cycle(here.run)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "asking fake whose account it is: RecursionError" in outcome.message
    assert here.cloud.count("create") == 0
    assert here.cloud.billed() == []
