"""What the nodes of a run are connected to, and what reaches them. Pure functions.

https://learn.microsoft.com/en-us/azure/templates/microsoft.network/networksecuritygroups
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.ports import PortRange, is_all
from spotdeploy_azure.actions import NETWORK_VERSION
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.schemas import SecurityRule
from spotdeploy_libcloud.network import Ingress, digest
from spotdeploy_libcloud.request import Body, Json

NETWORK: Final = "network"
SUBNET: Final = "nodes"
SPACE: Final = "10.0.0.0/16"
PEERS: Final = "nodes"
ELSEWHERE: Final = "elsewhere"
LAST: Final = 4096
"""The last priority that a rule may have; Azure's default rules follow."""
GROUPS: Final = "Microsoft.Network/networkSecurityGroups"
PEER_GROUPS: Final = "Microsoft.Network/applicationSecurityGroups"
NETWORKS: Final = "Microsoft.Network/virtualNetworks"


@dataclass(frozen=True, slots=True)
class Doors:
    """What the nodes of a batch let in."""

    ingress: Ingress
    between: tuple[PortRange, ...] | None = None
    """The ports on which other nodes of the run reach these; None where no node opens any."""
    elsewhere: tuple[str, ...] = ()
    """The networks of nodes in other locations, which reach the same ports."""

    @property
    def group(self) -> str:
        """The name of the security group, which batches of a run share that let in the same."""
        return f"firewall-{digest(self.ingress, self.between or ())}"


IdOf = Callable[[str, str], str]
"""The id of a resource by its type and name."""


def _id(kind: str, name: str) -> str:
    """As an expression of a template."""
    return f"[resourceId('{kind}', '{name}')]"


def rules(doors: Doors, id_of: IdOf = _id) -> list[Body]:
    """What a security group lets in. One rule for each version of IP: a rule takes addresses of one
    only.

    Azure's default rules keep out all else from outside, and let in all that the network sends, and
    what is connected to it: the last rule here keeps that out. The platform's own services pass
    whatever a group says:
    https://learn.microsoft.com/en-us/azure/virtual-network/network-security-groups-overview
    """
    ingress = doors.ingress
    ports = [str(port) for port in ingress.all_ports]
    by_version = {4: ingress.cidrs(4), 6: ingress.cidrs(6)}
    outside = [
        _allow(f"let-in-v{version}", 1000 + version, "Tcp", ports, sourceAddressPrefixes=sources)
        for version, sources in by_version.items()
        if sources
    ]
    between = doors.between or ()
    return [
        *outside,
        *_own_rules(between, id_of),
        *_rules_for_elsewhere(between, doors.elsewhere),
        _deny("keep-out", LAST, "VirtualNetwork"),
    ]


def resources(
    location: str, tags: Mapping[str, str], doors: Doors, config: AzureConfig
) -> list[Body]:
    """The security group, the group of those that it lets reach one another, and the network when
    the config names none: the same for every batch of a run that lets in the same, so
    that deploying them again changes nothing."""
    common: Body = {"apiVersion": NETWORK_VERSION, "location": location, "tags": tags}
    firewall: dict[str, Json] = {
        "type": GROUPS,
        "name": doors.group,
        **common,
        "properties": {"securityRules": rules(doors)},
    }
    network: Body = {
        "type": NETWORKS,
        "name": NETWORK,
        **common,
        "properties": {
            "addressSpace": {"addressPrefixes": [SPACE]},
            "subnets": [{"name": SUBNET, "properties": {"addressPrefix": SPACE}}],
        },
    }
    made: list[Body] = [firewall] if config.subnet else [firewall, network]
    if doors.between is None:
        return made
    firewall["dependsOn"] = [_id(PEER_GROUPS, PEERS)]
    return [{"type": PEER_GROUPS, "name": PEERS, **common, "properties": {}}, *made]


def interface(name: str, tags: Mapping[str, str], doors: Doors, config: AzureConfig) -> Body:
    """The interface of a machine, with its address, made and deleted with the machine:
    https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/create-or-update

    Both get the tags where the cloud takes them there.
    """
    tagged: Body = {"tags": tags} if takes_interface_tags(config) else {}
    subnet = config.subnet or f"[resourceId('{NETWORKS}/subnets', '{NETWORK}', '{SUBNET}')]"
    address: dict[str, Json] = {"primary": True, "subnet": {"id": subnet}}
    if doors.between is not None:
        address["applicationSecurityGroups"] = [{"id": _id(PEER_GROUPS, PEERS)}]
    if config.address == "public":
        address["publicIPAddressConfiguration"] = {
            "name": _suffixed(name, "ip"),
            **tagged,
            "sku": {"name": "Standard"},
            "properties": {"deleteOption": "Delete", "publicIPAllocationMethod": "Static"},
        }
    return {
        "name": _suffixed(name, "nic"),
        **tagged,
        "properties": {
            "primary": True,
            "deleteOption": "Delete",
            "networkSecurityGroup": {"id": _id(GROUPS, doors.group)},
            "ipConfigurations": [{"name": "address", "properties": address}],
        },
    }


def require_subnet(config: AzureConfig) -> None:
    """Raises ConfigError when nobody could reach the nodes: without `subnet` they are in a network
    that the run makes, and that nothing leads to but public addresses."""
    if config.address == "private" and not config.subnet:
        raise ConfigError(
            'provider.azure.subnet is needed when provider.azure.address is "private"',
            hint="give the id of a subnet that you reach, or leave address out",
        )


def takes_interface_tags(config: AzureConfig) -> bool:
    """Whether this cloud has `INTERFACE_TAGS_VERSION`."""
    return config.cloud == "AzureCloud"


def elsewhere(rules: Iterable[SecurityRule]) -> tuple[str, ...]:
    """The networks of nodes in other locations that a group lets in."""
    found = [one for one in rules if one.name.startswith(ELSEWHERE)]
    named = (prefix for one in found for prefix in one.properties.source_address_prefixes or ())
    return tuple(dict.fromkeys(named))


def _rules_for_elsewhere(between: Sequence[PortRange], networks: Sequence[str]) -> list[Body]:
    """One for each protocol and version of IP."""
    versions = {
        version: [one for one in networks if ip_network(one).version == version]
        for version in (4, 6)
    }
    kinds = itertools.product(_by_protocol(between).items(), versions.items())
    return [
        _allow(
            f"{ELSEWHERE}-{protocol}-v{version}",
            1200 + number,
            protocol.capitalize(),
            ports,
            sourceAddressPrefixes=sources,
        )
        for number, ((protocol, ports), (version, sources)) in enumerate(kinds)
        if ports and sources
    ]


def _by_protocol(between: Sequence[PortRange]) -> dict[str, list[str]]:
    """The ports of each protocol, and ICMP with all of them."""
    ports = {
        protocol: [one.ports for one in between if one.protocol == protocol]
        for protocol in ("tcp", "udp")
    }
    return {**ports, "icmp": ["*"]} if is_all(between) else ports


def _own_rules(between: Sequence[PortRange], id_of: IdOf) -> list[Body]:
    """What the machines of the run send to one another. The source is a group of their own
    interfaces, since the network may have others than theirs:
    https://learn.microsoft.com/en-us/azure/virtual-network/application-security-groups"""
    sources: Json = [{"id": id_of(PEER_GROUPS, PEERS)}]
    return [
        _allow(
            f"own-{protocol}",
            1100 + number,
            protocol.capitalize(),
            its,
            sourceApplicationSecurityGroups=sources,
        )
        for number, (protocol, its) in enumerate(_by_protocol(between).items())
        if its
    ]


def _allow(name: str, priority: int, protocol: str, ports: list[str], **source: Json) -> Body:
    return _rule(
        name,
        access="Allow",
        priority=priority,
        protocol=protocol,
        destinationPortRanges=ports,
        **source,
    )


def _deny(name: str, priority: int, source: str) -> Body:
    return _rule(
        name,
        access="Deny",
        priority=priority,
        protocol="*",
        destinationPortRange="*",
        sourceAddressPrefix=source,
    )


def _rule(name: str, **properties: Json) -> Body:
    common: Body = {"direction": "Inbound", "sourcePortRange": "*", "destinationAddressPrefix": "*"}
    return {"name": name, "properties": {**common, **properties}}


def _suffixed(expression: str, suffix: str) -> str:
    """A template expression `[x]` as one that ends with a suffix."""
    return f"[concat({expression[1:-1]}, '-{suffix}')]"
