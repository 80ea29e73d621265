"""`keep_failed`: the nodes of a run that failed stay to be looked at, and pass no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest

from spotdeploy.cli.screen import kept_lines, summary
from spotdeploy.cycle.policy import Progress, conclude, end_by_policy
from spotdeploy.cycle.runbook import run_cycle
from spotdeploy.duration import Duration
from spotdeploy.events import Event, NodeCreated
from spotdeploy.model import DEFAULT_GROUP, Node, NodeState, Phase, Verdict
from spotdeploy.run.context import Run
from spotdeploy.run.verdict import NodeOutcome
from tests.fake_project import FakeProject, configured

FakeProjects = Callable[..., FakeProject]
FAILED = (Verdict.PAYLOAD_FAILED, Verdict.INFRASTRUCTURE_FAILED)


def looking(here: FakeProject, **keys: object) -> Run:
    """A run that keeps what failed, in which no node answers ssh for long."""
    timeouts = msgspec.structs.replace(here.run.config.timeouts, boot=Duration("200ms"))
    return configured(here.run, keep_failed=True, timeouts=timeouts, **keys)


@pytest.mark.parametrize("keep", ["passing", "never", "always"])
@pytest.mark.parametrize("verdict", [*FAILED, Verdict.PASSED])
async def test_nodes_of_a_run_that_failed_stay_whatever_keep_says(
    fake_project: FakeProjects, keep: str, verdict: Verdict
) -> None:
    here = fake_project(count=2)
    run = looking(here, keep=keep)
    first, second = (await here.create()).nodes
    progress = Progress(
        nodes=(
            NodeOutcome(first, verdict, Phase.DEPLOY, "why"),
            NodeOutcome(second, Verdict.PASSED, Phase.VERIFY),
        ),
        created={DEFAULT_GROUP: 2},
    )
    await end_by_policy(run, progress)
    failed = verdict in FAILED
    assert conclude(run, progress).verdict is verdict
    assert here.machines() == (2 if failed or keep != "never" else 0)
    assert run.journal.failure(first) == (verdict if failed else "")
    assert run.journal.failure(second) == ""


async def test_a_cycle_that_failed_keeps_its_nodes_and_says_how_long(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    outcome = await run_cycle(looking(here, keep="never"))
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert outcome.exit_code == 3
    (node,) = outcome.kept
    assert here.machines() == 1
    assert here.run.journal.failure(node) == "infrastructure failed"
    lines = summary(outcome).splitlines()
    assert f"running: {node.name}; end with 'spotdeploy destroy'" in lines
    (how_long,) = (line for line in lines if line.startswith("to be looked at until "))
    assert f"'spotdeploy debug {node.name}'" in how_long
    assert "(for 1h59m)" in how_long


async def test_the_next_cycle_replaces_them(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    (before,) = (await run_cycle(looking(here))).kept
    run = configured(here.new_run("run-2"), timeouts=looking(here).config.timeouts)
    outcome = await run_cycle(run)
    run.close()
    assert [node.id for node in outcome.receipts[0].destroyed] == [before.id]
    assert here.machines() == 0


async def test_a_later_node_with_the_same_id_has_not_failed(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    (node,) = (await run_cycle(looking(here))).kept
    later = msgspec.structs.replace(node, labels={**node.labels, "spotdeploy-run": "another"})
    assert here.run.journal.failure(node)
    assert not here.run.journal.failure(later)


class Made:
    """Tells when the first node was made."""

    def __init__(self) -> None:
        self.happened = asyncio.Event()

    def on(self, event: Event) -> None:
        if isinstance(event, NodeCreated):
            self.happened.set()


async def test_a_stop_ends_them_all_the_same(fake_project: FakeProjects) -> None:
    here, made = fake_project(count=1), Made()
    here.run.bus.attach(made)
    task = asyncio.ensure_future(run_cycle(configured(here.run, keep_failed=True)))
    await made.happened.wait()
    task.cancel()
    assert (await task).verdict is Verdict.STOPPED
    assert here.machines() == 0


async def test_so_does_the_limit_of_what_a_cycle_may_cost(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    outcome = await run_cycle(configured(here.run, keep_failed=True, max_cost=0.0001))
    assert "of max_cost" in outcome.message
    assert here.machines() == 0


def node(expires: float) -> Node:
    marks = {"spotdeploy-expires": str(int(expires))}
    return Node("m-1", "demo-1", "fake", "here", NodeState.RUNNING, marks)


def test_how_long_they_live_is_told_of_a_run_that_failed_only() -> None:
    now = time.time()
    assert len(kept_lines([node(now + 3700)], failed=False, now=now)) == 1
    assert "(for 1h1m)" in kept_lines([node(now + 3700)], failed=True, now=now)[1]
    assert kept_lines([], failed=True) == []
