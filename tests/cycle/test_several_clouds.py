"""What one cloud refuses or breaks is its own: the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from spotdeploy.cycle.groups import worth_running
from spotdeploy.cycle.policy import Progress, conclude
from spotdeploy.errors import Reach
from spotdeploy.model import DEFAULT_GROUP, Created, Node, NodeState, Phase, Verdict
from spotdeploy.phases.create import create
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import NodeOutcome
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.provider import FakeProvider
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


class Other(FakeProvider):
    """Another fake cloud."""

    name: ClassVar[str] = "other"


class Broken(Other):
    """One whose plugin has a bug."""

    def create(self, *_: object) -> Created:
        raise RecursionError("too deep")


def beside(here: FakeProject, kind: type[FakeProvider]) -> Run:
    """A run in the fake cloud's places and, in one place, in another cloud."""
    other = Location(kind(here.config, "there", here.cloud), "there")
    project = replace(here.run.project, providers=("fake", "other"))
    return replace(here.run, project=project, locations=(*here.run.locations, other))


async def made(here: FakeProject, run: Run) -> tuple[Sequence[Node], Progress]:
    offers = {
        name: [o for place in run.of_provider(name) for o in place.provider.offers(run.pool)]
        for name in run.providers
    }
    nodes, refusals = await create(run, offers, here.batch(""))
    return nodes, Progress(created={DEFAULT_GROUP: len(nodes)}, refusals=refusals)


@pytest.mark.parametrize(
    ("kind", "fault", "words"),
    [
        (Other, faults.NoCapacity(location="there"), "InsufficientCapacity"),
        (Other, faults.Quota(location="there"), "LimitReached"),
        (Other, faults.Refused(location="there", reach=Reach.ACCOUNT), "PolicyViolation"),
        (Broken, None, "RecursionError: too deep"),
    ],
    ids=["capacity", "quota", "account", "bug"],
)
async def test_the_nodes_of_a_cloud_that_did_its_part_are_run_and_the_verdict_counts_all(
    fake_project: FakeProjects,
    kind: type[FakeProvider],
    fault: faults.AnyFault | None,
    words: str,
) -> None:
    here = fake_project(count=2, faults=[fault] if fault else [])
    run = beside(here, kind)
    nodes, progress = await made(here, run)
    assert [node.provider for node in nodes] == ["fake", "fake"]
    assert worth_running(run, nodes) == list(nodes)
    progress.nodes = tuple(NodeOutcome(node, Verdict.PASSED, Phase.VERIFY) for node in nodes)
    outcome = conclude(run, progress)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "2 of 4 nodes could not be created" in outcome.message
    assert words in outcome.message


async def test_no_node_of_a_cloud_is_run_when_it_made_too_few_and_so_did_the_others(
    fake_project: FakeProjects,
) -> None:
    few = faults.PartialFill(location="here", give=1, times=1)
    full = [faults.NoCapacity(location=place, at=at) for place, at in (("here", 2), ("there", 1))]
    here = fake_project(count=2, faults=[few, *full])
    run = beside(here, Other)
    nodes, _ = await made(here, run)
    assert len(nodes) == 1
    assert worth_running(run, nodes) == []


async def test_a_create_call_that_was_never_answered_lets_no_run_pass(
    fake_project: FakeProjects,
) -> None:
    lost = [faults.LateCreate(seconds=60.0, times=0), faults.LostReply(call="create", times=0)]
    here = fake_project(count=2, quorum=1, faults=lost)
    await here.create()
    node = Node("m-1", "demo-1", "fake", "here", NodeState.RUNNING)
    outcome = conclude(
        here.run,
        Progress(
            nodes=(NodeOutcome(node, Verdict.PASSED, Phase.VERIFY),),
            created={DEFAULT_GROUP: 1},
            unanswered=here.run.journal.open_intents("demo"),
        ),
    )
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert outcome.message == "what came of 1 create call is not known: machines may exist"
