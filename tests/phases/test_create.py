"""Creating, place after place."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from spotdeploy.errors import Reach
from spotdeploy.events import Note
from spotdeploy.model import Created, Market, MarketPolicy
from spotdeploy.phases.findings import draft
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy.project import Project
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.provider import FakeProvider
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


SIZES = ("m-small", "m-large", "c-small")
REFUSED_AT_A = {
    Reach.OFFER: 11,
    Reach.SIZE: 8,
    Reach.FAMILY: 8,
    Reach.ZONE: 6,
    Reach.MARKET: 6,
    Reach.IMAGE: 0,
    Reach.LOCATION: 0,
    Reach.ACCOUNT: 0,
    Reach.PROVIDER: 0,
}
"""How many of twelve offers (two zones, three sizes, two markets) are left after the first refusal
of each reach."""


@pytest.mark.parametrize("reach", list(Reach))
async def test_a_refusal_takes_away_what_it_reaches_and_nothing_else(
    fake_project: FakeProjects, reach: Reach
) -> None:
    first = faults.Refused(times=1, reach=reach)
    here = fake_project(count=1, sizes=SIZES, policy=ON_DEMAND, faults=[first])
    here.cloud.script(faults.NoCapacity())
    creation = await here.create()
    assert creation.nodes == ()
    assert len(creation.refusals) == 1 + REFUSED_AT_A[reach]


@pytest.mark.parametrize("reach", [Reach.FAMILY, Reach.SIZE, Reach.MARKET, Reach.LOCATION])
async def test_a_refusal_reaches_into_no_other_location(
    fake_project: FakeProjects, reach: Reach
) -> None:
    here = fake_project(
        count=2, locations=("x", "y"), faults=[faults.Refused(location="x", reach=reach)]
    )
    creation = await here.create()
    assert [node.location for node in creation.nodes].count("y") >= 1
    assert len(creation.nodes) == 2


async def test_a_refusal_that_nobody_knows_is_told_with_its_remedy_and_the_walk_goes_on(
    fake_project: FakeProjects,
) -> None:
    no = faults.Refused(zone="a", code="NewRule", message="not on Sundays", hint="wait a day")
    here = fake_project(count=2, faults=[no])
    creation = await here.create()
    assert {node.zone for node in creation.nodes} == {"b"}
    assert creation.refusals[0].message == "NewRule: not on Sundays (wait a day)"
    assert here.run.journal.open_intents("demo") == []


@pytest.mark.parametrize(("quota", "count", "calls"), [(2, 3, 5), (5, 12, 9), (1, 9, 5), (0, 9, 3)])
async def test_fewer_nodes_are_asked_for_before_a_quota_gives_up(
    fake_project: FakeProjects, quota: int, count: int, calls: int
) -> None:
    here = fake_project(count=count, faults=[faults.Quota(limit=quota, whole=True)])
    creation = await here.create()
    assert len(creation.nodes) == quota
    assert creation.refusals[-1].got == 0
    assert here.cloud.count("create") == calls


async def test_the_next_place_is_asked_for_all_that_a_quota_left_to_make(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=6, faults=[faults.Quota(zone="a", limit=0, reach=Reach.ZONE)])
    creation = await here.create()
    assert len(creation.nodes) == 6
    assert [(refusal.asked, refusal.got) for refusal in creation.refusals] == [(6, 0)]
    asked = [call.detail.split()[0] for call in here.cloud.calls() if call.name == "create"]
    assert asked == ["6", "3", "1", "6"]


async def test_a_quota_of_one_family_leaves_the_others(fake_project: FakeProjects) -> None:
    full = [
        faults.Quota(size=size, limit=1, whole=True, reach=Reach.FAMILY)
        for size in ("m-small", "m-large")
    ]
    here = fake_project(count=3, sizes=SIZES, faults=full)
    creation = await here.create()
    assert sorted(str(node.size) for node in creation.nodes) == ["c-small", "c-small", "m-small"]


def asked(here: FakeProject) -> list[int]:
    """How many nodes each create call asked for."""
    calls = [call for call in here.cloud.calls() if call.name == "create"]
    return [int(call.detail.split()[0]) for call in calls]


async def recreate(here: FakeProject, *script: faults.AnyFault) -> tuple[int, list[int]]:
    """Destroy all, and create anew with these faults: how many came, and what was asked for."""
    await here.destroy()
    before = len(asked(here))
    here.cloud.script(*script)
    here.run = here.new_run("run-3")
    return len((await here.create()).nodes), asked(here)[before:]


def notes(here: FakeProject) -> list[str]:
    return [event.text for event in here.ears.received if isinstance(event, Note)]


async def test_a_quota_that_the_cloud_frees_late_is_waited_for(fake_project: FakeProjects) -> None:
    here = fake_project(count=4, quota_late=20.0)
    await here.create()
    late = faults.Quota(limit=4, whole=True, late=2.0)
    came, calls = await recreate(here, late)
    assert (came, set(calls)) == (4, {4})
    assert 2 <= len(calls) <= 5
    (told,) = [text for text in notes(here) if "may still count" in text]
    assert "the quota of 4 machines is used up" in told
    assert "for 20s at most" in told


async def test_a_quota_is_not_waited_for_longer_than_the_provider_says(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=4, sizes=("small",), quota_late=1.2)
    await here.create()
    began = time.monotonic()
    came, calls = await recreate(here, faults.Quota(limit=5, whole=True, late=600.0))
    assert time.monotonic() - began < 5.0
    assert came == 1  # beside the four that still count
    assert calls[calls.index(2) :][:2] == [2, 1]


async def test_a_quota_waits_for_nothing_that_was_not_freed(fake_project: FakeProjects) -> None:
    full = faults.Quota(limit=2, whole=True)
    here = fake_project(count=3, sizes=("small",), quota_late=600.0, faults=[full])
    assert len((await here.create()).nodes) == 2
    assert not [text for text in notes(here) if "may still count" in text]


async def test_a_quota_of_the_other_market_is_not_waited_for(fake_project: FakeProjects) -> None:
    here = fake_project(count=2, policy=ON_DEMAND, quota_late=600.0)
    here.cloud.script(faults.NoCapacity(market=Market.SPOT))
    await here.create()
    here.cloud.heal()
    came, calls = await recreate(here, faults.Quota(market=Market.SPOT, reach=Reach.MARKET))
    assert (came, calls) == (2, [2, 1, 2])


async def test_a_plugins_bug_is_a_refusal_whose_traceback_is_kept(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Created:
        raise KeyError("instanceId")

    here = fake_project()
    monkeypatch.setattr(FakeProvider, "create", broken)
    creation = await here.create()
    (refusal,) = creation.refusals
    assert "KeyError: 'instanceId'; its trace is in " in refusal.message
    assert "Traceback" in (here.run.folder / "traces.txt").read_text()
    assert len(here.run.journal.open_intents("demo")) == 1


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
    creation = await here.create()
    assert creation.nodes == ()
    assert "no answer to create" in creation.refusals[0].message
    assert len(here.run.journal.open_intents("demo")) == 1


async def test_throttling_is_waited_out(fake_project: FakeProjects) -> None:
    here = fake_project(faults=[faults.Throttled(call="create", times=3)])
    assert len((await here.create()).nodes) == 3


async def test_expired_credentials_stop_the_walk(fake_project: FakeProjects) -> None:
    here = fake_project(count=1, faults=[faults.ExpiredCredentials(call="create")])
    creation = await here.create()
    assert creation.nodes == ()
    assert [refusal.message for refusal in creation.refusals] == [
        "ExpiredToken: the token has expired"
    ]
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


@pytest.mark.parametrize(
    ("written", "expected"),
    [((), None), ((PortRange(81), PortRange("80/tcp")), (PortRange("80-81"),)), ("all", ALL_PORTS)],
)
def test_the_ports_between_nodes_come_with_every_create_call(
    fake_project: FakeProjects, written: object, expected: object
) -> None:
    here = fake_project()
    nodes = replace(here.settings.config.nodes, open_between=written)
    config = replace(here.settings.config, nodes=nodes)
    project = Project(replace(here.settings, config=config), here.run.project.plugins, ("fake",))
    assert draft(project).open_between == expected
