"""Creating, place after place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spotdeploy.errors import CredentialsError, LostReplyError
from spotdeploy.model import Market, MarketPolicy
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]
ON_DEMAND = MarketPolicy.SPOT_THEN_ON_DEMAND


async def test_the_whole_batch_is_one_call(fake_project: FakeProjects) -> None:
    here = fake_project(count=30)
    assert len((await here.create()).nodes) == 30
    assert here.cloud.count("create") == 1


async def test_nodes_are_spread_evenly_over_the_locations(fake_project: FakeProjects) -> None:
    here = fake_project(count=5, locations=("x", "y"))
    creation = await here.create()
    places = [node.location for node in creation.nodes]
    assert sorted((places.count("x"), places.count("y"))) == [2, 3]


async def test_two_of_three_are_recorded_and_the_shortfall_is_told(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.PartialFill(give=2, times=0)])
    here.cloud.script(faults.NoCapacity(zone="b"), faults.NoCapacity(size="large"))
    creation = await here.create()
    assert len(creation.nodes) == 2
    assert len(here.run.journal.nodes("demo")) == 2
    assert creation.refusals[0].got == 2
    assert all(refusal.message for refusal in creation.refusals)
    assert len(creation.refusals) == 4


async def test_the_walk_goes_size_then_zone_then_region_then_market(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(
        count=1,
        locations=("x", "y"),
        policy=ON_DEMAND,
        faults=[
            faults.NoCapacity(market=Market.SPOT),
            faults.NoCapacity(location="x"),
        ],
    )
    creation = await here.create()
    (node,) = creation.nodes
    assert (node.location, node.market) == ("y", Market.ON_DEMAND)
    tried = [refusal.offer for refusal in creation.refusals]
    assert tried[:4] == [
        "fake a small spot",
        "fake a large spot",
        "fake b small spot",
        "fake b large spot",
    ]
    assert all("on-demand" in offer for offer in tried[8:])


async def test_what_one_location_lacks_comes_from_the_other(fake_project: FakeProjects) -> None:
    here = fake_project(count=4, locations=("x", "y"), faults=[faults.NoCapacity(location="x")])
    creation = await here.create()
    assert [node.location for node in creation.nodes] == ["y"] * 4


async def test_a_quota_gives_up_the_location_and_not_the_run(fake_project: FakeProjects) -> None:
    here = fake_project(count=2, locations=("x", "y"), faults=[faults.Quota(location="x")])
    creation = await here.create()
    assert len(creation.nodes) == 2
    assert len([r for r in creation.refusals if r.got == 0]) == 1


async def test_a_lost_answer_never_makes_a_second_set(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.LostReply(call="create")])
    creation = await here.create()
    assert len(creation.nodes) == 3
    assert here.machines() == len(here.run.journal.nodes("demo")) == 3


async def test_when_no_answer_ever_comes_the_listing_decides(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.LostReply(call="create", times=0)])
    creation = await here.create()
    assert len(creation.nodes) == 3
    assert here.run.journal.open_intents("demo") == []


async def test_a_create_whose_fate_is_unknown_leaves_its_intent_open(
    fake_project: FakeProjects,
) -> None:
    lost = faults.LostReply(call="create", times=0)
    here = fake_project(faults=[faults.LateCreate(seconds=60.0), lost])
    with pytest.raises(LostReplyError):
        await here.create()
    assert len(here.run.journal.open_intents("demo")) == 1


async def test_throttling_is_waited_out(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.Throttled(call="create", times=3)])
    assert len((await here.create()).nodes) == 3


async def test_expired_credentials_stop_the_walk(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.ExpiredCredentials(call="create")])
    with pytest.raises(CredentialsError):
        await here.create()
    assert here.cloud.count("create") == 1


async def test_labels_are_on_every_machine_in_one_spelling(fake_project: FakeProjects) -> None:
    here = fake_project()
    await here.create()
    (location,) = here.run.locations
    for node in location.provider.nodes(here.run.scope):
        assert set(node.labels) == {
            "spotdeploy-deployment",
            "spotdeploy-run",
            "spotdeploy-batch",
            "spotdeploy-digest",
            "spotdeploy-expires",
        }
