"""What the nodes of a run are connected to, and what reaches them. Pure functions.

https://learn.microsoft.com/en-us/azure/templates/microsoft.network/networksecuritygroups
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from spotdeploy_azure.actions import NETWORK_VERSION
from spotdeploy_azure.config import AzureConfig

Json: TypeAlias = "str | int | float | bool | list[Json] | Mapping[str, Json] | None"
Body: TypeAlias = Mapping[str, Json]

SSH: Final = 22
FIREWALL: Final = "firewall"
NETWORK: Final = "network"
SUBNET: Final = "nodes"
SPACE: Final = "10.0.0.0/16"
GROUPS: Final = "Microsoft.Network/networkSecurityGroups"
NETWORKS: Final = "Microsoft.Network/virtualNetworks"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a security group lets in; Azure's default rules keep out all else from outside."""

    ports: tuple[int, ...]
    """TCP ports besides ssh."""
    sources: tuple[str, ...]
    """CIDRs."""

    def rules(self) -> list[Json]:
        """One rule for each version of IP: a rule takes addresses of one only."""
        networks = [ipaddress.ip_network(source, strict=False) for source in self.sources]
        by_version = {
            version: [str(one) for one in networks if one.version == version] for version in (4, 6)
        }
        return [
            self._rule(f"let-in-v{version}", 1000 + version, sources)
            for version, sources in by_version.items()
            if sources
        ]

    def _rule(self, name: str, priority: int, sources: list[str]) -> Body:
        return {
            "name": name,
            "properties": {
                "access": "Allow",
                "direction": "Inbound",
                "priority": priority,
                "protocol": "Tcp",
                "sourcePortRange": "*",
                "sourceAddressPrefixes": list(sources),
                "destinationAddressPrefix": "*",
                "destinationPortRanges": [str(port) for port in sorted({SSH, *self.ports})],
            },
        }


def resources(
    location: str, tags: Mapping[str, str], opening: Opening, config: AzureConfig
) -> list[Body]:
    """The security group, and the network when the config names none: the same for every batch of
    a run, so that deploying them again changes nothing."""
    common: Body = {"apiVersion": NETWORK_VERSION, "location": location, "tags": tags}
    firewall: Body = {
        "type": GROUPS,
        "name": FIREWALL,
        **common,
        "properties": {"securityRules": opening.rules()},
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


def interface(name: str, config: AzureConfig) -> Body:
    """The interface of a machine, with its address, made and deleted with the machine:
    https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/create-or-update
    """
    subnet = config.subnet or f"[resourceId('{NETWORKS}/subnets', '{NETWORK}', '{SUBNET}')]"
    address: dict[str, Json] = {"primary": True, "subnet": {"id": subnet}}
    if config.address == "public":
        address["publicIPAddressConfiguration"] = {
            "name": _suffixed(name, "ip"),
            "sku": {"name": "Standard"},
            "properties": {"deleteOption": "Delete", "publicIPAllocationMethod": "Static"},
        }
    return {
        "name": _suffixed(name, "nic"),
        "properties": {
            "primary": True,
            "deleteOption": "Delete",
            "networkSecurityGroup": {"id": f"[resourceId('{GROUPS}', '{FIREWALL}')]"},
            "ipConfigurations": [{"name": "address", "properties": address}],
        },
    }


def _suffixed(expression: str, suffix: str) -> str:
    """A template expression `[x]` as one that ends with a suffix."""
    return f"[concat({expression[1:-1]}, '-{suffix}')]"
