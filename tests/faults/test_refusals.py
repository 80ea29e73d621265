"""A refusal takes away what it reaches, and no more, whatever its code."""

from __future__ import annotations

import os
import pkgutil
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.case import Family
from tests.faults.catalogue import REFUSALS
from tests.faults.lab_testbed import waits
from tests.faults.refusals import REFUSERS, Refusal, Refuser, play
from tests.labs.aws import AwsLab
from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.azure import AzureLab
from tests.labs.clouds import AnyLab
from tests.labs.gcp import GcpLab

SAMPLE = 4
"""Cases of each cloud that every test run plays."""
HURRY = {
    "spotdeploy.provider:Provider.poll_seconds": 0.02,
    "spotdeploy.patience:PATIENCE": 0.3,
    "spotdeploy_aws.nodes:VISIBLE_SECONDS": 0.05,
    "spotdeploy_azure.create:POLL_SECONDS": 0.02,
    "spotdeploy_gcp.api:POLL_SECONDS": 0.02,
    "spotdeploy.testing.fake.provider:FakeProvider.poll_seconds": 0.02,
}
QUICK = {
    one.id
    for name in REFUSERS
    for one in random.Random(13).sample([c for c in REFUSALS if c.cloud == name], SAMPLE)
}


@pytest.fixture(scope="session")
def own_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto on this host's loopback."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def refuser(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Refuser]:
    """The case's cloud, and little patience with it."""
    name = request.node.callspec.params["case"].cloud
    constants = {
        **waits(name, HURRY),
        f"spotdeploy_{name}.provider:{name.title()}Provider.settle_seconds": 0.05,
    }
    for path, value in constants.items():
        holder, _, attribute = path.replace(":", ".").rpartition(".")
        monkeypatch.setattr(pkgutil.resolve_name(holder), attribute, value)
    lab: AnyLab
    if name == "aws":
        lab = AwsLab(tmp_path, request.getfixturevalue("own_moto"))
    else:
        lab = GcpLab(tmp_path) if name == "gcp" else AzureLab()
    with lab:
        os.environ.update(lab.environment)
        yield REFUSERS[name](lab)


def marked(case: Refusal) -> object:
    return pytest.param(case, id=case.id, marks=[] if case.id in QUICK else [pytest.mark.campaign])


@pytest.mark.parametrize("case", [marked(case) for case in REFUSALS])
async def test_a_refusal_reaches_what_it_reaches(
    case: Refusal,
    refuser: Refuser,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    played = await play(case, refuser, tmp_path)
    record_property("family", str(Family.REFUSALS))
    record_property("where", case.where)
    record_property("fault", case.row)
    record_property("case", case.id)
    record_property("ended", str(played.outcome.verdict))
    record_property("after", "destroy: passed" if not played.left else "destroy: leaked")
    record_property("left", len(played.left))
    if played.problems:
        pytest.fail("\n".join(played.problems), pytrace=False)
