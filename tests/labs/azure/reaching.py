"""What machines reach of one another by their private addresses, from the rules of their security
groups: https://learn.microsoft.com/en-us/azure/virtual-network/network-security-groups-overview"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from spotdeploy.ports import PortRange
from tests.labs.azure.call import Json
from tests.labs.azure.state import Machine
from tests.labs.hypervisor import Neighbours
from tests.labs.reaching import Rule, passing, ranges

DEFAULT_RULES: tuple[Json, ...] = (
    {
        "access": "Allow",
        "direction": "Inbound",
        "priority": 65000,
        "protocol": "*",
        "sourceAddressPrefix": "VirtualNetwork",
        "destinationPortRange": "*",
    },
)
"""`AllowVnetInBound`. That for load balancers is about no machine, and the last one denies all."""


def between(source: Machine, target: Machine) -> tuple[PortRange, ...]:
    """The ports of a machine that another one reaches: the first rule that fits decides. Machines
    in different networks reach nothing of each other by private addresses."""
    if _network(source) != _network(target):
        return ()
    rules = [rule for rule in _rules(target) if _is_from(rule, source)]
    return passing(
        Rule(rule["access"] == "Allow", ranges(rule["protocol"], _ports(rule)))
        for rule in sorted(rules, key=lambda rule: rule["priority"])
    )


def peer_groups(machine: Machine) -> frozenset[str]:
    """The ids of the application security groups that it is a member of, in lower case."""
    found = _address(machine).get("applicationSecurityGroups", ())
    return frozenset(one["id"].lower() for one in found)


def neighbours(machine: Machine) -> Neighbours:
    """What members of an application security group reach that its rules name. All machines of one
    deployment's template are members."""
    named = [
        one["id"].lower()
        for rule in security_rules(machine)
        for one in rule.get("sourceApplicationSecurityGroups", ())
    ]
    ports = between(machine, machine) if named else ()
    return Neighbours(tuple(peer_groups(machine)), named[0] if named else "none", ports)


def security_rules(target: Machine) -> list[Json]:
    """The rules of the security group of its interface."""
    group = target.interface["properties"]["networkSecurityGroup"]["id"].lower()
    rules = target.group.resources[group]["properties"]["securityRules"]
    return [rule["properties"] for rule in rules]


def _rules(target: Machine) -> Iterator[Json]:
    yield from (rule for rule in security_rules(target) if rule["direction"] == "Inbound")
    yield from DEFAULT_RULES


def _is_from(rule: Json, source: Machine) -> bool:
    groups = {one["id"].lower() for one in rule.get("sourceApplicationSecurityGroups", ())}
    if groups:
        return bool(groups & peer_groups(source))
    prefixes = rule.get("sourceAddressPrefixes") or [rule["sourceAddressPrefix"]]
    address = ip_address(source.private_address)
    return any(
        one in ("*", "VirtualNetwork") or ("/" in one and address in ip_network(one))
        for one in prefixes
    )


def _ports(rule: Json) -> list[str]:
    return list(rule.get("destinationPortRanges") or [rule["destinationPortRange"]])


def _network(machine: Machine) -> str:
    """The id of its network, in lower case."""
    return str(_address(machine)["subnet"]["id"]).lower().partition("/subnets/")[0]


def _address(machine: Machine) -> Json:
    found: Json = machine.interface["properties"]["ipConfigurations"][0]["properties"]
    return found
