"""What the nodes of a run are connected to, and what reaches them. Pure functions.

https://learn.microsoft.com/en-us/azure/templates/microsoft.network/networksecuritygroups
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy_azure.actions import NETWORK_VERSION
from spotdeploy_azure.config import AzureConfig
from spotdeploy_libcloud.network import Ingress
from spotdeploy_libcloud.request import Body, Json

FIREWALL: Final = "firewall"
NETWORK: Final = "network"
SUBNET: Final = "nodes"
SPACE: Final = "10.0.0.0/16"
GROUPS: Final = "Microsoft.Network/networkSecurityGroups"
NETWORKS: Final = "Microsoft.Network/virtualNetworks"


def rules(ingress: Ingress) -> list[Body]:
    """What a security group lets in; Azure's default rules keep out all else from outside. One
    rule for each version of IP: a rule takes addresses of one only."""
    ports = [str(port) for port in ingress.all_ports]
    by_version = {4: ingress.cidrs(4), 6: ingress.cidrs(6)}
    return [
        _rule(f"let-in-v{version}", 1000 + version, sources, ports)
        for version, sources in by_version.items()
        if sources
    ]


def resources(
    location: str, tags: Mapping[str, str], ingress: Ingress, config: AzureConfig
) -> list[Body]:
    """The security group, and the network when the config names none: the same for every batch of
    a run, so that deploying them again changes nothing."""
    common: Body = {"apiVersion": NETWORK_VERSION, "location": location, "tags": tags}
    firewall: Body = {
        "type": GROUPS,
        "name": FIREWALL,
        **common,
        "properties": {"securityRules": rules(ingress)},
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
    return [firewall] if config.subnet else [firewall, network]


def interface(name: str, tags: Mapping[str, str], config: AzureConfig) -> Body:
    """The interface of a machine, with its address, made and deleted with the machine:
    https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/create-or-update

    Both get the tags where the cloud takes them there.
    """
    tagged: Body = {"tags": tags} if takes_interface_tags(config) else {}
    subnet = config.subnet or f"[resourceId('{NETWORKS}/subnets', '{NETWORK}', '{SUBNET}')]"
    address: dict[str, Json] = {"primary": True, "subnet": {"id": subnet}}
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
            "networkSecurityGroup": {"id": f"[resourceId('{GROUPS}', '{FIREWALL}')]"},
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


def _rule(name: str, priority: int, sources: list[str], ports: list[str]) -> Body:
    return {
        "name": name,
        "properties": {
            "access": "Allow",
            "direction": "Inbound",
            "priority": priority,
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "sourceAddressPrefixes": sources,
            "destinationAddressPrefix": "*",
            "destinationPortRanges": ports,
        },
    }


def _suffixed(expression: str, suffix: str) -> str:
    """A template expression `[x]` as one that ends with a suffix."""
    return f"[concat({expression[1:-1]}, '-{suffix}')]"
