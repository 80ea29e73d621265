"""Watching nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spotdeploy.run.liveness import Liveness
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


async def lost_within(here: FakeProject, node_index: int, seconds: float) -> bool:
    creation = await here.create()
    node = creation.nodes[node_index]
    watch = Liveness(here.run, here.run.location_of(node), here.run.scope)
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(watch.until_lost(node), seconds)
    except TimeoutError:
        return False
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return True


async def test_a_node_that_vanished_before_its_first_listing_is_lost(
    fake_project: FakeProjects,
) -> None:
    ending = faults.InterruptionAfter(seconds=0.0, ending="vanished")
    assert await lost_within(fake_project(count=1, faults=[ending]), 0, 10)


async def test_a_node_that_is_not_listed_yet_is_not_lost(fake_project: FakeProjects) -> None:
    here = fake_project(count=1, settle=30.0, faults=[faults.Unlisted(seconds=60.0)])
    assert not await lost_within(here, 0, 3)


async def test_a_node_missing_from_one_listing_is_not_lost(fake_project: FakeProjects) -> None:
    here = fake_project(count=1, faults=[faults.Blink(at=2)])
    assert not await lost_within(here, 0, 3)


async def test_the_journal_knows_which_nodes_a_listing_showed(fake_project: FakeProjects) -> None:
    here = fake_project(count=2)
    (first, _) = (await here.create()).nodes
    assert all(known.seen_at <= known.made_at for known in here.run.journal.nodes("demo"))
    watch = Liveness(here.run, here.run.locations[0], here.run.scope)
    task = asyncio.create_task(watch.run())
    await watch.next_sight(first)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(known.seen_at > known.made_at for known in here.run.journal.nodes("demo"))
