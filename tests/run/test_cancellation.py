"""A stop never cuts a destroy in half."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from spotdeploy.cycle.runbook import run_cycle, run_destroy
from spotdeploy.model import Verdict
from spotdeploy.run.cancellation import finish_despite_cancel
from spotdeploy.run.verdict import Outcome
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject, keeping

FakeProjects = Callable[..., FakeProject]


async def stopped_while_something_goes(here: FakeProject, work: asyncio.Future[Outcome]) -> Outcome:
    """Stop the work once the cloud was asked to end a machine."""
    while not here.cloud.count("destroy"):  # noqa: ASYNC110  # the fake cloud has no event
        await asyncio.sleep(0.01)
    work.cancel()
    return await work


async def test_a_stop_during_destroy_lets_it_prove_that_nothing_is_left(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.SlowGoing(seconds=1.0)])
    await here.create()
    work = asyncio.ensure_future(run_destroy(here.run))
    outcome = await stopped_while_something_goes(here, work)
    assert outcome.verdict is Verdict.STOPPED
    assert outcome.receipts[0].clean
    assert here.existing() == 0


async def test_a_stop_during_the_first_destroy_of_a_cycle_creates_nothing_more(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.SlowGoing(seconds=1.0)])
    await here.create()
    work = asyncio.ensure_future(run_cycle(keeping(here.run, "never")))
    outcome = await stopped_while_something_goes(here, work)
    assert outcome.verdict is Verdict.STOPPED
    assert here.cloud.count("create") == 1
    assert here.existing() == 0


async def test_a_stop_while_a_cycle_ends_its_nodes_leaves_none(fake_project: FakeProjects) -> None:
    here = fake_project(
        faults=[faults.SlowGoing(seconds=1.0), faults.NoCapacity(zone="b")], count=2
    )
    here.cloud.script(faults.Quota(limit=1))
    work = asyncio.ensure_future(run_cycle(keeping(here.run, "never")))
    outcome = await stopped_while_something_goes(here, work)
    assert outcome.verdict is Verdict.STOPPED
    assert here.existing() == 0


async def test_what_the_work_raises_is_raised_after_a_stop_too() -> None:
    async def work() -> None:
        await asyncio.sleep(0.05)
        raise ValueError("no")

    task = asyncio.ensure_future(finish_despite_cancel(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError, match="no"):
        await task
