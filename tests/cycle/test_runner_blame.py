"""Who a failed node is blamed on, and how far one node's trouble goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from spotdeploy.cycle import runner
from spotdeploy.cycle.runner import NodeRunner, OnInterrupted, Pipeline, sharing
from spotdeploy.errors import CapacityError, PayloadError
from spotdeploy.model import Fate, FateKind, Node, Verdict
from spotdeploy.node import keys
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.verdict import NodeOutcome
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.provider import FakeProvider
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]


async def failing(node_run: NodeRun, _: Liveness) -> None:
    raise node_run.blame_payload("the entry failed")


async def outcomes(
    here: FakeProject, pipeline: Pipeline, on_interrupted: OnInterrupted | None = None
) -> tuple[NodeOutcome, ...]:
    """How nodes end that go through this pipeline."""
    pair = keys.make(here.folder / "keys", "demo")
    nodes = (await here.create()).nodes
    async with sharing(here.run, pair, []) as shared:
        return await NodeRunner(here.run, shared, pipeline, on_interrupted).run_nodes(nodes)


async def test_a_cloud_that_says_the_node_lives_lets_the_payload_be_blamed(
    fake_project: FakeProjects,
) -> None:
    (outcome,) = await outcomes(fake_project(count=1), failing)
    assert outcome.verdict is Verdict.PAYLOAD_FAILED


@pytest.mark.parametrize(
    "silence",
    [
        faults.Outage(call="fate", times=0),
        faults.ExpiredCredentials(call="fate"),
        faults.LostReply(call="fate", times=0),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_fate_that_cannot_be_asked_is_infrastructure_in_the_clouds_words(
    fake_project: FakeProjects, silence: faults.AnyFault
) -> None:
    (outcome,) = await outcomes(fake_project(count=1, faults=[silence]), failing)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert outcome.fate is not None
    assert outcome.fate.kind is FateKind.UNKNOWN
    assert outcome.message == (
        f"the entry failed; what became of the node is not known: {outcome.fate.message}"
    )
    assert outcome.fate.message


async def test_a_bug_in_a_providers_fate_is_not_known_either(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise IndexError("no such instance")

    monkeypatch.setattr(FakeProvider, "fate", broken)
    here = fake_project(count=1)
    (outcome,) = await outcomes(here, failing)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "IndexError: no such instance" in outcome.message
    assert "in broken" in (here.run.folder / "traces.txt").read_text()


async def test_a_bug_on_the_way_of_one_node_fails_that_node_alone(
    fake_project: FakeProjects,
) -> None:
    async def pipeline(node_run: NodeRun, _: Liveness) -> None:
        if node_run.node.name.endswith("2"):
            raise KeyError("answer")

    here = fake_project(count=3)
    ended = {outcome.node.name: outcome for outcome in await outcomes(here, pipeline)}
    bad = [outcome for outcome in ended.values() if not outcome.passed]
    assert len(ended) == 3
    assert [outcome.verdict for outcome in bad] == [Verdict.INFRASTRUCTURE_FAILED]
    assert "KeyError: 'answer'; its trace is in " in bad[0].message


@pytest.mark.parametrize("error", [CapacityError("all is full", code="Full"), KeyError("token")])
async def test_a_node_that_cannot_be_replaced_is_told_and_ends_as_it_was(
    fake_project: FakeProjects, error: Exception
) -> None:
    async def unable(outcome: NodeOutcome) -> Sequence[Node]:
        raise error

    async def pipeline(node_run: NodeRun, _: Liveness) -> None:
        raise PayloadError("its ssh ended", phase="deploy")

    ending = faults.InterruptionAt(call="fate", ending="interrupted", nodes=1)
    here = fake_project(count=2, faults=[ending])
    ended = await outcomes(here, pipeline, unable)
    verdicts = sorted(outcome.verdict for outcome in ended)
    assert verdicts == [Verdict.INFRASTRUCTURE_FAILED, Verdict.PAYLOAD_FAILED]
    notes = [str(getattr(event, "text", "")) for event in here.ears.received]
    assert any("is not replaced: " in note for note in notes)


@pytest.mark.parametrize(
    ("fates", "verdict"),
    [
        ([], Verdict.PAYLOAD_FAILED),
        (
            [faults.InterruptionAt(call="fate", at=3, ending="interrupted", nodes=1)],
            Verdict.INFRASTRUCTURE_FAILED,
        ),
    ],
)
async def test_a_payload_that_announces_its_own_interruption_is_blamed_unless_the_cloud_confirms_it(
    fake_project: FakeProjects,
    monkeypatch: pytest.MonkeyPatch,
    fates: list[faults.AnyFault],
    verdict: Verdict,
) -> None:
    monkeypatch.setattr(runner, "NOTICE_SECONDS", 0.01)
    monkeypatch.setattr(runner, "CONFIRM_SECONDS", 0.1)

    async def pipeline(node_run: NodeRun, _: Liveness) -> None:
        node_run.announced = Fate(FateKind.INTERRUPTED, "a curl of the payload's own")
        raise node_run.blame_payload("the entry failed")

    (outcome,) = await outcomes(fake_project(count=1, faults=fates), pipeline)
    assert outcome.verdict is verdict


@pytest.mark.parametrize("fresh", [True, False])
async def test_only_a_node_that_this_run_made_may_have_the_key_of_its_user_data(
    fake_project: FakeProjects, fresh: bool
) -> None:
    here, seen = fake_project(count=1), []

    async def pipeline(node_run: NodeRun, _: Liveness) -> None:
        seen.append(node_run.connection.host_key)

    pair = keys.make(here.folder / "keys", "demo")
    nodes = (await here.create()).nodes
    for pinned in (False, True):
        if pinned:
            here.run.journal.pin(nodes[0], "ssh-ed25519 its own")
        async with sharing(here.run, pair, []) as shared:
            await NodeRunner(here.run, shared, pipeline, fresh=fresh).run_nodes(nodes)
    bootstrap = pair.bootstrap_host.public
    assert seen == ([bootstrap, bootstrap] if fresh else ["", "ssh-ed25519 its own"])
