"""What doctor finds, and what offers there are."""

from __future__ import annotations

import pytest

from spotdeploy_azure.actions import permissions
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.providers.azure.conftest import MakeProvider

TWO = ["Standard_D2as_v5", "Standard_D2s_v5"]


def test_a_healthy_subscription_has_no_problems(provider: AzureProvider, lab: AzureLab) -> None:
    assert provider.doctor() == []
    assert {call.operation.partition(" ")[0] for call in lab.calls} == {"GET"}


def test_credentials_come_first(provider: AzureProvider, lab: AzureLab) -> None:
    lab.revoke()
    (problem,) = provider.doctor()
    assert problem.fatal
    assert "az ad app credential reset" in problem.remedy


def test_a_disabled_subscription_is_named(provider: AzureProvider, lab: AzureLab) -> None:
    lab.cloud.subscription_state = "Disabled"
    (problem,) = provider.doctor()
    assert problem.what.endswith("is Disabled")


@pytest.mark.parametrize(
    "namespace", ["Microsoft.Compute", "Microsoft.Network", "Microsoft.DevTestLab"]
)
def test_an_unregistered_resource_provider_says_how_to_register_it(
    provider: AzureProvider, lab: AzureLab, namespace: str
) -> None:
    lab.cloud.unregistered.add(namespace)
    (problem,) = provider.doctor()
    assert problem.remedy == f"run 'az provider register --namespace {namespace}'"


def test_schedules_are_not_asked_for_when_they_are_turned_off(
    make: MakeProvider, lab: AzureLab
) -> None:
    lab.cloud.unregistered.add("Microsoft.DevTestLab")
    assert make(auto_shutdown=False).doctor() == []


def test_a_location_without_schedules_is_reported(make: MakeProvider) -> None:
    (problem,) = make("uaecentral").doctor()
    assert problem.what == "uaecentral has no auto-shutdown"


def test_missing_permissions_are_named_one_by_one(provider: AzureProvider, lab: AzureLab) -> None:
    missing = "Microsoft.Compute/virtualMachines/delete"
    lab.cloud.actions = [one for one in permissions() if one != missing]
    (problem,) = provider.doctor()
    assert problem.what == f"the service principal may not {missing}"


def test_the_documented_permissions_suffice(provider: AzureProvider, lab: AzureLab) -> None:
    lab.cloud.actions = permissions()
    assert provider.doctor() == []


def test_a_used_up_spot_quota_is_fatal(provider: AzureProvider, lab: AzureLab) -> None:
    lab.cloud.spot_limit = 2
    (problem,) = provider.doctor()
    assert problem.fatal
    assert "Total Regional Spot vCPUs of eastus is used up: 2 of 2" in problem.what


def test_sizes_that_will_not_do_are_named(make: MakeProvider) -> None:
    problems = make(sizes=["Standard_B2s", "Standard_M128s", "Standard_D2as_v5"]).doctor()
    found = [problem.what for problem in problems]
    assert found[0] == "Standard_B2s cannot be had as Spot"
    assert "does not sell Standard_M128s" in found[1]
    assert not any(problem.fatal for problem in problems)
    (only,) = make(sizes=["Standard_M128s"]).doctor()
    assert only.fatal
