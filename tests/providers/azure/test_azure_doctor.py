"""What doctor finds, and what offers there are."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.model import MarketPolicy, Pool
from spotdeploy_azure.actions import permissions
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.providers.azure.conftest import MakeProvider, batch, offer

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


def test_a_spot_quota_is_held_against_count_and_size(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.cloud.spot_limit = 5
    (problem,) = provider.objections(Pool(2), batch(2))
    words = "Total Regional Spot vCPUs of eastus has room for 3 of 5, and this run needs 4"
    assert (problem.what, problem.fatal) == (f"quota {words}", True)
    assert provider.objections(Pool(1), batch()) == []
    regular = Pool(2, MarketPolicy.ON_DEMAND)
    assert provider.objections(regular, batch(2)) == []


def test_a_quota_of_a_family_stops_a_run_on_demand_when_no_other_has_room(
    make: MakeProvider, lab: AzureLab
) -> None:
    lab.cloud.family_limits = {"standardDASv5Family": 3, "standardDSv5Family": 4}
    regular = Pool(2, MarketPolicy.ON_DEMAND)
    assert make(sizes=TWO).objections(regular, batch(2)) == []
    assert make(sizes=TWO).objections(Pool(2), batch(2)) == [], "Spot has a quota of its own"
    lab.cloud.family_limits["standardDSv5Family"] = 0
    found = make(sizes=TWO).objections(regular, batch(2))
    assert [(one.fatal, one.what.partition(" has ")[0]) for one in found] == [
        (True, f"quota standard{family}Family vCPUs of eastus") for family in ("DASv5", "DSv5")
    ]


def test_what_our_own_nodes_use_counts_as_free(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch())
    lab.cloud.spot_limit = 5  # of which the lab says that 2 are used
    assert provider.objections(Pool(2), batch(2)) == []
    (problem,) = provider.objections(Pool(3), batch(3))
    assert "has room for 5 of 5, and this run needs 6" in problem.what


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tags": {"cost/center": "7"}}, "does not take 'cost/center' = '7'"),
        ({"tags": {"team": "x" * 257}}, "does not take 'team'"),
        ({"tags": {f"k{n}": "" for n in range(50)}}, "has 50 tags"),
    ],
)
def test_what_azure_would_refuse_of_a_batch_is_known_before(
    make: MakeProvider, lab: AzureLab, table: dict[str, object], message: str
) -> None:
    (problem,) = make(**table).objections(Pool(1), batch())
    assert problem.fatal
    assert message in problem.what
    assert {call.operation.partition(" ")[0] for call in lab.calls} == {"GET"}


def test_private_nodes_need_a_subnet_and_someone_who_may_reach_them(
    make: MakeProvider, lab: AzureLab
) -> None:
    found = [one.what for one in make(address="private").objections(Pool(1), batch())]
    assert found == [
        f'{key} is needed when provider.azure.address is "private"'
        for key in ("nodes.allow_from", "provider.azure.subnet")
    ]
    with pytest.raises(ConfigError, match="subnet is needed"):
        make(address="private").create(offer(), batch(allow_from=("10.0.0.0/8",)))
    net = "microsoft.network/virtualNetworks/net/subnets/nodes"
    subnet = f"/subscriptions/x/resourcegroups/mine/providers/{net}"  # as some tools spell it
    private = make(address="private", subnet=subnet)
    assert private.objections(Pool(1), batch(allow_from=("10.0.0.0/8",))) == []
    assert len(private.create(offer(), batch(allow_from=("10.0.0.0/8",))).nodes) == 1


def test_sizes_that_will_not_do_are_named(make: MakeProvider) -> None:
    problems = make(sizes=["Standard_B2s", "Standard_M128s", "Standard_D2as_v5"]).doctor()
    found = [problem.what for problem in problems]
    assert found[0] == "Standard_B2s cannot be had as Spot"
    assert "does not sell Standard_M128s" in found[1]
    assert not any(problem.fatal for problem in problems)
    (only,) = make(sizes=["Standard_M128s"]).doctor()
    assert only.fatal
    assert "does not sell Standard_M128s to" in only.what


def test_a_misspelt_size_is_answered_with_the_nearest(make: MakeProvider) -> None:
    (only,) = make(sizes=["Standard_D2as_v55"]).doctor()
    assert only.remedy.startswith("did you mean Standard_D2as_v5? ")
