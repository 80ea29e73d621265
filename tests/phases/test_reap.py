"""Finding and ending what is overdue, on the fake cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.errors import RefusedError
from spotdeploy.model import Node, NodeState, Resource
from spotdeploy.phases.reap import GRACE, OLD, reap, search
from spotdeploy.state import ids
from spotdeploy.state.lock import locked
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]
NOW = time.time()


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


async def make(fake_project: FakeProject, ends: float) -> None:
    """Nodes whose time to live ends then."""
    await fake_project.create(ends)


async def test_a_node_past_its_time_to_live_is_found_and_nothing_is_changed(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=2)
    await make(here, NOW - GRACE - 3600)
    before = here.existing()
    found = await search(here.run.locations[0], NOW)
    assert len([find for find in found.expired if isinstance(find.thing, Node)]) == 2
    assert "its time to live ended 1h10m ago" in found.expired[0].why
    assert here.existing() == before
    assert here.cloud.count("destroy") == 0


async def test_reaping_ends_all_that_was_found_and_proves_it(fake_project: FakeProjects) -> None:
    here = fake_project(count=3, faults=[faults.OrphanDisk()])
    await make(here, NOW - GRACE - 60)
    place = here.run.locations[0]
    receipt = await reap([await search(place)], 10.0)
    assert receipt.clean
    assert len(receipt.destroyed) == 3
    assert receipt.listings == 2
    again = await search(place)
    if again.expired:  # a disk that came out of a node when it ended
        assert (await reap([again], 10.0)).clean
    assert here.existing() == 0


async def test_a_node_within_its_time_to_live_is_left_alone(fake_project: FakeProjects) -> None:
    here = fake_project(count=2)
    await make(here, NOW + 3600)
    found = await search(here.run.locations[0])
    assert found.expired == ()
    assert found.alive == 2


async def test_clocks_may_differ_by_the_grace(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    await make(here, NOW - GRACE / 2)
    assert (await search(here.run.locations[0], NOW)).expired == ()


async def test_what_has_not_our_label_is_never_touched_even_if_a_provider_lists_it(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project()
    place = here.run.locations[0]
    stranger = Node("m-1", "prod", "fake", "here", NodeState.RUNNING, {labels.EXPIRES: "1"})
    disk = Resource("disk", "d-1", "fake", "here", {})
    monkeypatch.setattr(type(place.provider), "nodes", lambda *_: [stranger])
    monkeypatch.setattr(type(place.provider), "leftovers", lambda *_: [disk])
    found = await search(place)
    assert found.expired == ()
    assert found.alive == 0


@pytest.mark.parametrize(
    ("age", "ends", "found"),
    [
        (OLD + 60, None, True),  # the run is long over, and has no node here
        (OLD - 60, None, False),  # it may still be at work
        (60, -GRACE - 60, True),
        (OLD + 60, 60, False),
    ],
)
async def test_a_resource_is_overdue_when_its_run_cannot_be_alive(
    fake_project: FakeProjects,
    monkeypatch: pytest.MonkeyPatch,
    age: float,
    ends: float | None,
    found: bool,
) -> None:
    here = fake_project()
    place = here.run.locations[0]
    its = {labels.DEPLOYMENT: "demo", labels.RUN: ids.new_run_id(NOW - age)}
    its |= {} if ends is None else {labels.EXPIRES: str(int(NOW + ends))}
    disk = Resource("disk", "d-1", "fake", "here", its)
    monkeypatch.setattr(type(place.provider), "leftovers", lambda *_: [disk])
    assert [find.thing for find in (await search(place, NOW)).expired] == ([disk] if found else [])


async def test_a_machine_that_never_goes_is_left_with_how_to_end_it_by_hand(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    await make(here, NOW - GRACE - 60)
    here.cloud.script(faults.Stuck())
    receipt = await reap([await search(here.run.locations[0])], 1.0)
    assert len([what for what in receipt.left if "by hand: remove m-" in what]) == 1
    assert here.machines() == 1


async def test_a_deployment_at_work_on_this_computer_is_left_alone(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    await make(here, NOW - GRACE - 60)
    with locked("demo", "cycle"):
        receipt = await reap([await search(here.run.locations[0])], 5.0)
    assert all("demo is in use by" in what for what in receipt.left)
    assert receipt.left
    assert here.cloud.count("destroy") == 0


async def test_a_storm_without_end_lasts_no_longer_than_the_time_to_reap(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    await make(here, NOW - GRACE - 60)
    found = await search(here.run.locations[0])
    here.cloud.script(faults.Throttled(times=0))
    receipt = await reap([found], 1.0)
    assert receipt.seconds < 5.0
    assert len(receipt.left) == len(found.expired) > 0
    assert "(not done within 1s); by hand: " in receipt.left[0]


async def test_a_location_that_cannot_be_asked_says_so(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.Outage(call="nodes", times=0)])
    found = await search(here.run.locations[0])
    assert found.error
    assert found.expired == ()


async def test_an_account_guard_ends_the_reaping_before_anything_is_ended(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project(count=2)
    await make(here, NOW - GRACE - 60)
    place = here.run.locations[0]

    def guard(*_: object) -> None:
        raise RefusedError("the credentials are of account 2, and only 1 is allowed")

    monkeypatch.setattr(type(place.provider), "destroy", guard)
    with pytest.raises(RefusedError, match="only 1 is allowed"):
        await reap([await search(place)], 5.0)
    assert here.machines() == 2


@pytest.mark.parametrize("call", ["nodes", "destroy", "leftovers", "release"])
async def test_a_bug_in_one_location_is_told_and_the_others_are_reaped(
    fake_project: FakeProjects, call: str
) -> None:
    here = fake_project(count=4, locations=("here", "there"))
    await make(here, NOW - GRACE - 60)
    found = [await search(place) for place in here.run.locations]

    def fail(*_: object) -> None:
        raise KeyError("items")

    setattr(here.run.locations[0].provider, call, fail)
    receipt = await reap(found, 3.0)
    assert {node.location for node in receipt.destroyed} >= {"there"}
    assert receipt.left
    assert all("(KeyError: 'items'); by hand: remove " in what for what in receipt.left)


async def test_a_location_whose_search_breaks_off_says_so(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.Bug(call="leftovers", times=0)])
    found = await search(here.run.locations[0])
    assert found.error == "RecursionError: maximum recursion depth exceeded"


async def test_a_refusal_in_one_location_lets_the_others_come_to_their_end(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project(count=4, locations=("here", "there"))
    await make(here, NOW - GRACE - 60)
    found = [await search(place) for place in here.run.locations]

    def guard(*_: object) -> None:
        raise RefusedError("the credentials are of account 2, and only 1 is allowed")

    monkeypatch.setattr(here.run.locations[0].provider, "destroy", guard)
    with pytest.raises(RefusedError, match="only 1 is allowed"):
        await reap(found, 5.0)
    assert here.machines() == 2, "those of the other location are gone"


async def test_a_call_that_is_never_answered_does_not_keep_reap_beyond_its_patience(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    await make(here, NOW - GRACE - 60)
    found = [await search(here.run.locations[0])]
    here.cloud.script(faults.SlowCall(call="nodes", seconds=300, times=0))
    receipt = await reap(found, 1.0)
    assert receipt.seconds < 5
    assert any("by hand: remove m-" in what for what in receipt.left)
