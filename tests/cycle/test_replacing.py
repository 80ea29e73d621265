"""What replaces an interrupted node, and what becomes of that one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from spotdeploy.cycle.policy import Progress, Replacer, conclude, end_by_policy
from spotdeploy.model import DEFAULT_GROUP, Phase, Verdict
from spotdeploy.run.verdict import NodeOutcome
from spotdeploy.testing.fake import faults
from tests.fake_project import FakeProject, configured

FakeProjects = Callable[..., FakeProject]


async def test_a_replaced_node_that_would_not_go_is_ended_again_and_told(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1, patience="1s", faults=[faults.Stuck(nodes=1)])
    (node,) = (await here.create()).nodes
    nodes = msgspec.structs.replace(here.run.config.nodes, on_interruption="replace")
    run = configured(here.run, keep="passing", nodes=nodes)
    progress = Progress(created={DEFAULT_GROUP: 1})
    replacer = Replacer(run, here.offers, here.batch(""), progress.not_gone)
    (other,) = await replacer(NodeOutcome(node, Verdict.INFRASTRUCTURE_FAILED, Phase.DEPLOY))
    progress.nodes = (NodeOutcome(other, Verdict.PASSED, Phase.VERIFY),)
    assert progress.not_gone == [node]
    await end_by_policy(run, progress)
    outcome = conclude(run, progress)
    assert outcome.verdict is Verdict.LEAKED
    assert node.id in outcome.message
    assert other.id in [kept.id for kept in outcome.kept]
