"""What instances reach of one another by their internal addresses, from the network's rules:
https://cloud.google.com/firewall/docs/firewalls"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from spotdeploy.ports import PortRange
from tests.labs.gcp.call import Json
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.state import Instance
from tests.labs.hypervisor import Neighbours
from tests.labs.reaching import Rule, passing, ranges

DEFAULT_NETWORK: tuple[Json, ...] = (
    {
        "name": "default-allow-internal",
        "priority": 65534,
        "sourceRanges": ["10.128.0.0/9"],
        "allowed": [
            {"IPProtocol": "tcp", "ports": ["1-65535"]},
            {"IPProtocol": "udp", "ports": ["1-65535"]},
            {"IPProtocol": "icmp"},
        ],
    },
    {
        "name": "default-allow-ssh",
        "priority": 65534,
        "sourceRanges": ["0.0.0.0/0"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    },
)
"""https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc. Its rule for RDP is left
out, and so is that for ICMP alone."""


def between(cloud: Cloud, source: Instance, target: Instance) -> tuple[PortRange, ...]:
    """The ports of an instance that another one reaches: the rule with the lowest priority number
    decides, of two with the same one that which denies, and without any nothing gets in."""
    rules = [one for one in _rules(cloud, target) if _is_from(one, source, target)]
    return passing(
        Rule("allowed" in rule, ranges(one["IPProtocol"], one.get("ports", ())))
        for rule in sorted(rules, key=lambda rule: (rule["priority"], "allowed" in rule))
        for one in rule.get("allowed") or rule["denied"]
    )


def neighbours(cloud: Cloud, instance: Instance) -> Neighbours:
    """What instances reach that have a tag which its rules name."""
    named = [one for rule in _rules(cloud, instance) for one in rule.get("sourceTags", ())]
    if not named:
        return Neighbours(tuple(_tags(instance)), "none", ())
    properties = {**instance.properties, "tags": {"items": [named[0]]}}
    member = replace(instance, properties=properties)
    return Neighbours(tuple(_tags(instance)), named[0], between(cloud, member, instance))


def _rules(cloud: Cloud, target: Instance) -> Iterator[Json]:
    """Those of the target's network that aim at it."""
    network = _network(target)
    if network.endswith("/networks/default"):
        yield from DEFAULT_NETWORK
    for rule in cloud.firewalls.values():
        aims = "targetTags" not in rule or _tags(target) & set(rule["targetTags"])
        if aims and rule["network"].endswith(network) and not rule.get("disabled"):
            yield rule


def _is_from(rule: Json, source: Instance, target: Instance) -> bool:
    """A tag stands for machines of the same network alone."""
    tagged = _tags(source) & set(rule.get("sourceTags", ()))
    address = ip_address(source.private)
    ours = any(address in ip_network(one) for one in rule.get("sourceRanges", ()))
    return bool(tagged and _network(source) == _network(target)) or ours


def _tags(instance: Instance) -> set[str]:
    return set(instance.properties.get("tags", {}).get("items", ()))


def _network(instance: Instance) -> str:
    """`projects/PROJECT/global/networks/NAME`."""
    path = str(instance.properties["networkInterfaces"][0]["network"])
    return path[path.index("projects/") :]
