"""What a refusal of Azure leaves of a walk through places, sizes and markets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotdeploy.cycle.policy import end_by_policy
from spotdeploy.events import Bus
from spotdeploy.model import Market, Node
from spotdeploy.phases.plan import find_offers, read_plans
from spotdeploy.run.context import open_run
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.call import ArmError, Call
from tests.labs.clouds import AZURE
from tests.labs.fault_queue import Fault
from tests.labs.phase_run import make_nodes, write_project

INVALID = "The template deployment is not valid according to the validation procedure."


def inner(code: str, words: str) -> ArmError:
    """What is found while a template is checked."""
    return ArmError(400, "InvalidTemplateDeployment", INVALID, [{"code": code, "message": words}])


DISALLOWED = ArmError(
    403,
    "RequestDisallowedByAzure",
    "Resource 'phases-1' was disallowed by Azure: this policy keeps a set of regions that are best "
    "for your subscription.",
    target="phases-1",
)
FAMILY = inner(
    "QuotaExceeded",
    "Operation could not be completed as it results in exceeding approved standardEASv5Family "
    "Cores quota. Additional details - Deployment Model: Resource Manager, Location: westeurope, "
    "Current Limit: 4, Current Usage: 4, Additional Required: 2, (Minimum) New Limit Required: 6.",
)
NO_SPOT = inner("AzureSpotFeatureNotEnabledForSubscription", "Spot is not enabled here.")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureLab]:
    """An Azure that is quick."""
    monkeypatch.setattr("spotdeploy_azure.create.POLL_SECONDS", 0.1)
    monkeypatch.setattr(AzureProvider, "settle_seconds", 0.1)
    monkeypatch.setattr(AzureProvider, "poll_seconds", 0.1)
    with AzureLab() as lab:
        timing = lab.timing
        timing.deploying = timing.allocating = timing.booting = timing.going = 0.1
        timing.group_going = 0.2
        os.environ.update(lab.environment)
        yield lab
        assert lab.wrong == []


async def walked(lab: AzureLab, folder: Path, count: int, **table: object) -> list[Node]:
    """The nodes that a create comes to in the end."""
    project = write_project(folder, {"azure": {**AZURE.table(lab), **table}}, count)
    with open_run(project, read_plans(project), Bus()) as run:
        progress = await make_nodes(run, (await find_offers(run)).offers)
        await end_by_policy(run, progress)
    assert lab.remains() == []
    return [outcome.node for outcome in progress.nodes]


def about(text: str) -> Callable[[Call], bool]:
    """Deployments in whose template a text stands."""
    return lambda call: text in str(call.body)


async def test_a_region_that_azure_disallows_is_left_for_the_next(
    lab: AzureLab, tmp_path: Path
) -> None:
    here = about("'location': 'eastus'")
    lab.faults.queue.append(Fault(AZURE.create, 99, DISALLOWED, when=here))
    nodes = await walked(lab, tmp_path, 3, locations=["eastus", "westeurope"])
    assert [node.location for node in nodes] == ["westeurope"] * 3


async def test_a_full_family_is_left_for_a_size_of_another_one_in_the_same_place(
    lab: AzureLab, tmp_path: Path
) -> None:
    lab.faults.queue.append(Fault(AZURE.create, 99, FAMILY, when=about("Standard_D2as_v5")))
    nodes = await walked(lab, tmp_path, 2, sizes=["Standard_D2as_v5", "Standard_D2s_v5"])
    assert {(node.location, node.size, node.market) for node in nodes} == {
        ("eastus", "Standard_D2s_v5", Market.SPOT)
    }


async def test_a_subscription_without_spot_buys_on_demand(lab: AzureLab, tmp_path: Path) -> None:
    lab.faults.queue.append(Fault(AZURE.create, 99, NO_SPOT, when=about("'priority': 'Spot'")))
    nodes = await walked(lab, tmp_path, 2)
    assert [node.market for node in nodes] == [Market.ON_DEMAND] * 2
    refused = [call for call in lab.calls if about("'priority': 'Spot'")(call)]
    assert len(refused) == 1
