"""What is asked of providers together, and a run that does without some of its locations."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.config.load import load
from spotdeploy.errors import ConfigError
from spotdeploy.events import Bus
from spotdeploy.model import Market, Offer
from spotdeploy.project import Project
from spotdeploy.run.context import open_run
from tests.two_clouds import TwoClouds

GROUPS = """
deployment = "demo"
[nodes]
count = 2
placement = "cheapest"
[groups.head]
count = 1
placement = "each"
[groups.worker]
spread = false
quorum = 1
[provider.fake]
locations = ["here", "there"]
"""


def test_a_group_may_say_its_own_placement(tmp_path: Path) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text(GROUPS)
    project = Project.open(path, providers=["fake", "local"])
    with open_run(project, {}, Bus()) as run:
        assert {g.group: (g.desired, g.quorum, g.config.nodes.spread) for g in run.groups} == {
            "head": (2, 2, True),
            "worker": (2, 1, False),
        }
        assert (run.desired, run.quorum) == (4, 3)


@pytest.mark.parametrize("key", ['placement = "nearest"', 'spread = "evenly"'])
def test_what_is_no_placement_is_refused_with_its_path(tmp_path: Path, key: str) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text(f'deployment = "demo"\n[nodes]\n{key}\n')
    with pytest.raises(ConfigError, match=rf"nodes\.{key.split()[0]}"):
        load(path, environment={})


def test_a_group_keeps_a_location_that_another_one_does_without(tmp_path: Path) -> None:
    path = tmp_path / "spotdeploy.toml"
    path.write_text(GROUPS)
    project = Project.open(path, providers=["fake", "local"])
    with open_run(project, {}, Bus()) as run:
        head, worker = run.groups
        narrow = run.within({"head": head.locations, "worker": worker.locations[1:]})
        assert narrow.locations == run.locations
        assert [part.locations for part in narrow.groups] == [
            head.locations,
            worker.locations[1:],
        ]
        assert narrow.groups[1].previous_locations == ()


def test_a_location_that_the_journal_knows_of_must_still_be_proven_empty(tmp_path: Path) -> None:
    here = TwoClouds(tmp_path, placement="ordered")
    run = here.new_run()
    fake, other = run.locations
    assert run.within({"nodes": [other]}).all_locations == (other,)
    offer = Offer("fake", "here", "a", "small", Market.SPOT)
    run.journal.record_intent("t", "demo", run.id, offer, 1)
    narrow = run.within({"nodes": [other]})
    assert (narrow.locations, narrow.previous_locations) == ((other,), (fake,))
    here.close()
