"""A quota that AWS frees some time after the nodes went."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spotdeploy.api import Project
from spotdeploy.cycle.policy import end_by_policy
from spotdeploy.events import Bus
from spotdeploy.model import Market
from spotdeploy.phases.plan import find_offers, read_plans
from spotdeploy.provider import Provider
from spotdeploy.run.context import open_run
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.clouds import CLOUDS
from tests.labs.phase_run import make_nodes, write_project

SPOT, COUNT, VCPUS = "L-34B43A08", 3, 2
LATE = 4.0


async def markets(project: Project) -> list[Market]:
    """What is bought in a run that makes nodes and ends them."""
    with open_run(project, read_plans(project), Bus()) as run:
        progress = await make_nodes(run, (await find_offers(run)).offers)
        await end_by_policy(run, progress)
        return [outcome.node.market for outcome in progress.nodes]


@pytest.mark.timeout(120)
async def test_the_spot_quota_of_what_was_just_destroyed_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsProvider, "settle_seconds", 0.5)
    monkeypatch.setattr(Provider, "poll_seconds", 0.2)
    with AwsLab(tmp_path) as lab:
        os.environ.update(lab.environment)
        project = write_project(tmp_path, {"aws": CLOUDS["aws"].table(lab)}, COUNT)
        lab.cloud.quotas.applied[SPOT] = float(COUNT * VCPUS)
        lab.timing.quota_delay = LATE
        assert await markets(project) == [Market.SPOT] * COUNT
        assert await markets(project) == [Market.SPOT] * COUNT
        refused = lab.called().count("RunInstances") - 2
        assert 1 <= refused <= 5
        assert lab.wrong == []
