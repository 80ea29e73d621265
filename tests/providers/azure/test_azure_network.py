"""What the nodes are connected to, and what reaches them."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.providers.azure.conftest import SCOPE, MakeProvider, batch, machine, offer


def test_private_nodes_get_no_public_address(make: MakeProvider, lab: AzureLab) -> None:
    subnet = (
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/x"
    )
    provider = make(address="private", subnet=subnet)
    provider.create(offer(), batch(allow_from=("10.0.0.0/8",)))
    (interface,) = machine(lab)["networkProfile"]["networkInterfaceConfigurations"]
    (address,) = interface["properties"]["ipConfigurations"]
    assert address["properties"] == {"primary": True, "subnet": {"id": subnet}}
    (node,) = provider.nodes(SCOPE)
    assert node.address == node.private_address
    (group,) = lab.cloud.groups.values()
    assert not any("virtualNetworks" in one["type"] for one in group.resources.values())


def test_private_nodes_want_to_know_who_may_reach_them(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match=r"nodes\.allow_from"):
        make(address="private").create(offer(), batch())


def test_only_the_caller_and_only_the_desired_ports_are_let_in(
    provider: AzureProvider, lab: AzureLab
) -> None:
    provider.create(offer(), batch(open_ports=(8081, 22)))
    (group,) = lab.cloud.groups.values()
    (firewall,) = (one for one in group.resources.values() if "SecurityGroups" in one["type"])
    (rule,) = firewall["properties"]["securityRules"]
    assert rule["properties"]["sourceAddressPrefixes"] == ["127.0.0.1/32"]
    assert rule["properties"]["destinationPortRanges"] == ["22", "8081"]


def test_a_rule_with_networks_that_overlap_is_refused_by_azure(provider: AzureProvider) -> None:
    with pytest.raises(ProviderError, match="OverlappingSubnets"):
        provider.create(offer(), batch(allow_from=("10.0.0.0/8", "10.1.2.0/24")))


def test_addresses_of_both_kinds_get_a_rule_each(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch(allow_from=("198.51.100.0/24", "2001:db8::/32")))
    (group,) = lab.cloud.groups.values()
    (firewall,) = (one for one in group.resources.values() if "SecurityGroups" in one["type"])
    rules = firewall["properties"]["securityRules"]
    sources = [rule["properties"]["sourceAddressPrefixes"] for rule in rules]
    assert sources == [["198.51.100.0/24"], ["2001:db8::/32"]]
    assert len({rule["properties"]["priority"] for rule in rules}) == 2
