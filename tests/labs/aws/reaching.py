"""What instances reach of one another by their private addresses, from their security groups:
https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from xml.etree.ElementTree import Element

from spotdeploy.ports import HIGHEST, PortRange
from tests.labs.aws.call import get
from tests.labs.aws.cloud import Instance
from tests.labs.aws.lab import AwsLab
from tests.labs.hypervisor import Neighbours
from tests.labs.reaching import Rule, passing, ranges


def between(lab: AwsLab, source: Instance, target: Instance) -> tuple[PortRange, ...]:
    """The ports of an instance that another one reaches. A group has rules that allow, and none
    that deny."""
    rules = [rule for rule in _permissions(lab, target) if _is_from(rule, source)]
    return passing(Rule(True, _ranges(rule)) for rule in rules)


def neighbours(lab: AwsLab, instance: Instance) -> Neighbours:
    """What members of a group reach that its rules name."""
    named = [one for rule in _permissions(lab, instance) for one in _sources(rule)]
    if not named:
        return Neighbours(tuple(instance.groups), "none", ())
    member = replace(instance, groups=[named[0]], private_address="0.0.0.0")  # nobody's
    return Neighbours(tuple(instance.groups), named[0], between(lab, member, instance))


def _permissions(lab: AwsLab, target: Instance) -> Iterator[Element]:
    for group in target.groups:
        question = {"Action": "DescribeSecurityGroups", "GroupId.1": group}
        root = lab.ask(target.region, question).xml()
        yield from root.iterfind("{*}securityGroupInfo/{*}item/{*}ipPermissions/{*}item")


def _is_from(rule: Element, source: Instance) -> bool:
    networks = [get(one, "cidrIp") for one in rule.iterfind("{*}ipRanges/{*}item")]
    address = ip_address(source.private_address)
    return bool(_sources(rule) & set(source.groups)) or any(
        address in ip_network(one) for one in networks
    )


def _sources(rule: Element) -> set[str]:
    return {get(one, "groupId") for one in rule.iterfind("{*}groups/{*}item")}


def _ranges(rule: Element) -> tuple[PortRange, ...]:
    protocol = get(rule, "ipProtocol")
    if protocol not in ("tcp", "udp"):
        return ranges(protocol)
    first, last = max(1, int(get(rule, "fromPort"))), min(HIGHEST, int(get(rule, "toPort")))
    return ranges(protocol, [f"{first}-{last}"])
