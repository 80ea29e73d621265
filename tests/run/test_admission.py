"""Nodes of other locations are let in by their addresses, once these are known."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.run.admission import Admission
from spotdeploy.run.roster import Roster
from spotdeploy.testing.fake.cloud import FakeCloud
from tests.fake_project import FakeProject, configured

FakeProjects = Callable[..., FakeProject]


def admissions(cloud: FakeCloud) -> list[tuple[str, str]]:
    """Where an admission was asked for, and of whom."""
    return [(call.location, call.detail) for call in cloud.calls() if call.name == "admit"]


async def deployed(here: FakeProject, roster: Roster, *, lets_in: bool = True) -> Admission:
    """An admission that knows the run's one group, and its nodes, in the roster."""
    nodes = msgspec.structs.replace(
        here.run.config.nodes,
        open_between=(PortRange("7946"),),
        open_between_locations=lets_in,
    )
    here.run = configured(here.run, nodes=nodes)
    template = msgspec.structs.replace(here.batch(""), open_between=nodes.between)
    roster.enter(here.run.group, (await here.create()).nodes)
    admission = Admission()
    admission.enter(here.run, template)
    return admission


def of(roster: Roster, *locations: str) -> str:
    """The addresses of what is in these locations."""
    nodes = [one.node for one in roster.members(["nodes"])]
    return " ".join(sorted(node.address or "" for node in nodes if node.location in locations))


async def test_each_location_lets_in_the_nodes_of_the_others(fake_project: FakeProjects) -> None:
    here, roster = fake_project(locations=("x", "y", "z"), count=6), Roster()
    admission = await deployed(here, roster)
    assert admission.is_asked
    await admission.renew(roster)
    assert sorted(admissions(here.cloud)) == [
        ("x", of(roster, "y", "z")),
        ("y", of(roster, "x", "z")),
        ("z", of(roster, "x", "y")),
    ]


async def test_it_is_asked_again_only_when_somebody_came_or_went(
    fake_project: FakeProjects,
) -> None:
    here, roster = fake_project(locations=("x", "y"), count=4), Roster()
    admission = await deployed(here, roster)
    for _ in range(3):
        await admission.renew(roster)
    assert len(admissions(here.cloud)) == 2
    gone = next(one.node for one in roster.members(["nodes"]) if one.node.location == "x")
    await roster.tell(gone, ended=True)
    await admission.renew(roster)
    _, _, *later = admissions(here.cloud)
    assert {location for location, _ in later} == {"x", "y"}
    assert gone.address not in dict(later)["y"].split()


async def test_a_node_in_anothers_place_is_let_in_and_lets_in(fake_project: FakeProjects) -> None:
    here, roster = fake_project(locations=("x", "y"), count=2), Roster()
    admission = await deployed(here, roster)
    await admission.renew(roster)
    old = next(one.node for one in roster.members(["nodes"]) if one.node.location == "x")
    new: Node = msgspec.structs.replace(old, id="m-new", address="192.0.2.77")
    roster.replace(old, [new])
    await admission.renew(roster)
    _, _, *later = admissions(here.cloud)
    assert dict(later) == {"x": of(roster, "y"), "y": "192.0.2.77"}


async def test_nothing_is_asked_for_unless_the_config_wants_it(fake_project: FakeProjects) -> None:
    here, roster = fake_project(locations=("x", "y")), Roster()
    admission = await deployed(here, roster, lets_in=False)
    assert not admission.is_asked
    await admission.renew(roster)
    assert admissions(here.cloud) == []
