"""How many calls a cloud gets for a create and a destroy, with few nodes and with many."""

from __future__ import annotations

import os
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from spotdeploy.cycle.policy import conclude, end_by_policy
from spotdeploy.events import Bus
from spotdeploy.model import Verdict
from spotdeploy.phases.plan import find_offers, read_plans
from spotdeploy.run.context import open_run
from tests.labs.aws import AwsLab
from tests.labs.azure import AzureLab
from tests.labs.clouds import CLOUDS, AnyLab
from tests.labs.gcp import GcpLab
from tests.labs.phase_run import make_nodes, write_project

FEW, MANY = 3, 300
MORE = {"aws": 0, "gcp": 6, "azure": 140}
"""Calls more for a hundred times the nodes, at most. GCP ends 100 instances in one HTTP request
(https://cloud.google.com/compute/docs/api/how-tos/batch); Azure's listings have pages, of 20 in the
lab, of things of three kinds for each machine."""
HURRY = {
    "spotdeploy.provider:Provider.poll_seconds": 0.2,
    "spotdeploy_azure.create:POLL_SECONDS": 0.2,
    "spotdeploy_gcp.api:POLL_SECONDS": 0.2,
}


@contextmanager
def opened(name: str, folder: Path) -> Iterator[AnyLab]:
    kinds: dict[str, Callable[[], AnyLab]] = {
        "aws": partial(AwsLab, folder),
        "gcp": partial(GcpLab, folder),
        "azure": AzureLab,
    }
    lab = kinds[name]()
    if isinstance(lab, AzureLab):
        timing = lab.timing
        timing.deploying = timing.allocating = timing.booting = timing.going = 0.1
        timing.group_going = 0.2
    with lab:
        yield lab


async def calls_of(name: str, count: int, folder: Path) -> Counter[str]:
    """The calls of a create and a destroy of so many nodes, by name."""
    folder.mkdir()
    with opened(name, folder) as lab:
        os.environ.update(lab.environment)
        project = write_project(folder, {name: CLOUDS[name].table(lab)}, count)
        with open_run(project, read_plans(project), Bus()) as run:
            prospects = await find_offers(run)
            lab.forget_calls()
            progress = await make_nodes(run, prospects.offers)
            await end_by_policy(run, progress)
            assert conclude(run, progress).verdict is Verdict.PASSED
        assert lab.remains() == []
        if isinstance(lab, GcpLab):
            return Counter(lab.requests)  # those within a batch are one
        return Counter(lab.called())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", list(CLOUDS))
async def test_a_hundred_times_the_nodes_are_few_calls_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = f"spotdeploy_{name}.provider:{name.title()}Provider.settle_seconds"
    for path, value in {**HURRY, settle: 0.5}.items():
        holder, _, attribute = path.replace(":", ".").rpartition(".")
        monkeypatch.setattr(pkgutil.resolve_name(holder), attribute, value)
    few = await calls_of(name, FEW, tmp_path / "few")
    many = await calls_of(name, MANY, tmp_path / "many")
    assert many.total() - few.total() <= MORE[name], many
