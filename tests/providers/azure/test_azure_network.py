"""What the nodes are connected to, and what reaches them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.reaching import between, peer_groups
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
    rule, last = firewall["properties"]["securityRules"]
    assert rule["properties"]["sourceAddressPrefixes"] == ["127.0.0.1/32"]
    assert rule["properties"]["destinationPortRanges"] == ["22", "8081"]
    assert (last["properties"]["access"], last["properties"]["priority"]) == ("Deny", 4096)


def test_a_rule_with_networks_that_overlap_is_refused_by_azure(provider: AzureProvider) -> None:
    with pytest.raises(ProviderError, match="OverlappingSubnets"):
        provider.create(offer(), batch(allow_from=("10.0.0.0/8", "10.1.2.0/24")))


def test_addresses_of_both_kinds_get_a_rule_each(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch(allow_from=("198.51.100.0/24", "2001:db8::/32")))
    (group,) = lab.cloud.groups.values()
    (firewall,) = (one for one in group.resources.values() if "SecurityGroups" in one["type"])
    rules = firewall["properties"]["securityRules"][:-1]
    sources = [rule["properties"]["sourceAddressPrefixes"] for rule in rules]
    assert sources == [["198.51.100.0/24"], ["2001:db8::/32"]]
    assert len({rule["properties"]["priority"] for rule in rules}) == 2


def firewall_rules(lab: AzureLab) -> dict[str, dict[str, Any]]:
    (group,) = lab.cloud.groups.values()
    (firewall,) = (one for one in group.resources.values() if "networkSecurity" in one["type"])
    return {one["name"]: one["properties"] for one in firewall["properties"]["securityRules"]}


def test_nodes_elsewhere_have_rules_of_their_own_and_are_not_shut_out_by_a_later_batch(
    provider: AzureProvider, make: MakeProvider, lab: AzureLab
) -> None:
    asked = batch(open_between=ALL_PORTS)
    provider.create(offer(), asked)
    before = firewall_rules(lab)
    provider.admit(asked, ("203.0.113.9", "2001:db8::9"))
    rules = firewall_rules(lab)
    new = {name: its for name, its in rules.items() if name not in before}
    assert {name: its["sourceAddressPrefixes"] for name, its in new.items()} == {
        f"elsewhere-{protocol}-v{version}": [network]
        for protocol in ("tcp", "udp", "icmp")
        for version, network in ((4, "203.0.113.9/32"), (6, "2001:db8::9/128"))
    }
    assert new["elsewhere-udp-v4"]["destinationPortRanges"] == ["1-65535"]
    make().create(offer(), batch(token="token-1", open_between=ALL_PORTS))
    assert firewall_rules(lab).keys() == rules.keys()
    calls = len(lab.calls)
    provider.admit(asked, ("2001:db8::9", "203.0.113.9"))
    assert len(lab.calls) == calls + 1
    provider.admit(asked, ())
    assert firewall_rules(lab).keys() == before.keys()


def test_rules_that_do_not_come_into_force_are_told(provider: AzureProvider, lab: AzureLab) -> None:
    asked = batch(open_between=ALL_PORTS)
    provider.create(offer(), asked)
    lab.timing.security = 1000.0
    with pytest.raises(ProviderError, match="are not in force: Azure says Updating"):
        provider.admit(asked, ("203.0.113.9",))


def test_machines_of_the_run_are_a_group_that_ports_between_nodes_are_open_to(
    provider: AzureProvider, lab: AzureLab
) -> None:
    ports = tuple(map(PortRange, ("7946", "8000-8100", "4222-4223/udp")))
    nodes = provider.create(offer(), batch(2, open_between=ports)).nodes
    rules = firewall_rules(lab)
    assert set(rules) == {"let-in-v4", "own-tcp", "own-udp", "keep-out"}
    for name, protocol, expected in (
        ("own-tcp", "Tcp", ["7946", "8000-8100"]),
        ("own-udp", "Udp", ["4222-4223"]),
    ):
        rule = rules[name]
        (source,) = rule["sourceApplicationSecurityGroups"]
        assert (rule["protocol"], rule["destinationPortRanges"]) == (protocol, expected)
        assert not {"sourceAddressPrefix", "sourceAddressPrefixes"} & rule.keys()
        assert rule["priority"] < rules["keep-out"]["priority"]
        for node in nodes:
            assert peer_groups(lab.machine(node.id)) == {source["id"].lower()}


def test_a_network_of_others_is_kept_out_but_for_those_who_are_named(
    make: MakeProvider, lab: AzureLab
) -> None:
    subnet = (
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/x"
    )
    provider = make(address="private", subnet=subnet)
    asked = batch(allow_from=("10.9.0.0/16",), open_between=ALL_PORTS)
    (node,) = provider.create(offer(), asked).nodes
    theirs = make(address="private", subnet=subnet)
    other = batch(token="token-1", allow_from=("10.9.0.0/16",))
    labels = {**other.labels, "spotdeploy-deployment": "bakery"}
    (stranger,) = theirs.create(offer(), replace(other, labels=labels)).nodes
    ours, others = lab.machine(node.id), lab.machine(stranger.id)
    assert between(ours, ours) == ALL_PORTS
    assert between(others, ours) == between(ours, others) == between(others, others) == ()


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        (ALL_PORTS, {"own-tcp", "own-udp", "own-icmp"}),
        ((PortRange("1-65535"),), {"own-tcp"}),
        ((), set()),
        (None, set()),
    ],
)
def test_ping_gets_through_between_nodes_where_everything_does(
    provider: AzureProvider, lab: AzureLab, ports: tuple[PortRange, ...] | None, names: set[str]
) -> None:
    provider.create(offer(), batch(open_between=ports))
    assert {name for name in firewall_rules(lab) if name.startswith("own-")} == names
    (group,) = lab.cloud.groups.values()
    kinds = [one["type"].rpartition("/")[2] for one in group.resources.values()]
    assert ("applicationSecurityGroups" in kinds) is (ports is not None)
