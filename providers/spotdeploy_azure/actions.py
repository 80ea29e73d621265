"""Every Azure operation this provider can call: the list in docs/providers/azure.md is held to it,
and so are the models that Microsoft publishes.

https://learn.microsoft.com/en-us/rest/api/compute/,
https://learn.microsoft.com/en-us/rest/api/virtualnetwork/,
https://learn.microsoft.com/en-us/rest/api/resources/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

COMPUTE_VERSION: Final = "2024-03-01"
NETWORK_VERSION: Final = "2023-11-01"
SCHEDULES_VERSION: Final = "2018-09-15"
RESOURCES_VERSION: Final = "2022-09-01"
"""Azure's clouds other than the public one get new versions late, and refuse what they do not have;
all of them have had these for long:
https://learn.microsoft.com/en-us/azure/azure-government/compare-azure-government-global-azure.
azure-cli 2.91, which serves them all by one profile, asks for 2023-11-01 of interfaces too, and for
later versions of Compute and of resource groups."""
INTERFACE_TAGS_VERSION: Final = "2025-04-01"
"""The first in which a virtual machine's interface and address are made with tags. Only the public
cloud is asked for it."""

_SUBSCRIPTION: Final = "/subscriptions/{subscription}"
_GROUP: Final = f"{_SUBSCRIPTION}/resourcegroups/{{group}}"
_DEPLOYMENT: Final = f"{_GROUP}/providers/Microsoft.Resources/deployments/{{deployment}}"
_COMPUTE: Final = f"{_SUBSCRIPTION}/providers/Microsoft.Compute"
_IN_GROUP: Final = f"{_SUBSCRIPTION}/resourceGroups/{{group}}/providers"
_VM: Final = f"{_IN_GROUP}/Microsoft.Compute/virtualMachines/{{vm}}"
_SECURITY_GROUP: Final = f"{_IN_GROUP}/Microsoft.Network/networkSecurityGroups/{{security_group}}"
_PUBLISHER: Final = f"{_COMPUTE}/locations/{{location}}/publishers/{{publisher}}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the Resource Manager."""

    verb: str
    path: str
    version: str
    permissions: tuple[str, ...]
    """What an identity needs to call it as we do."""


class Action(Enum):
    """An operation that this provider can call."""

    CANCEL_DEPLOYMENT = Operation(
        "POST",
        f"{_DEPLOYMENT}/cancel",
        RESOURCES_VERSION,
        ("Microsoft.Resources/deployments/cancel/action",),
    )
    CREATE_GROUP = Operation(
        "PUT",
        _GROUP,
        RESOURCES_VERSION,
        ("Microsoft.Resources/subscriptions/resourceGroups/write",),
    )
    DELETE_GROUP = Operation(
        "DELETE",
        _GROUP,
        RESOURCES_VERSION,
        (
            "Microsoft.Resources/subscriptions/resourceGroups/delete",
            "Microsoft.Compute/disks/delete",
            "Microsoft.DevTestLab/schedules/delete",
            "Microsoft.Network/applicationSecurityGroups/delete",
            "Microsoft.Network/networkInterfaces/delete",
            "Microsoft.Network/networkSecurityGroups/delete",
            "Microsoft.Network/publicIPAddresses/delete",
            "Microsoft.Network/virtualNetworks/delete",
        ),
    )
    DELETE_VM = Operation(
        "DELETE", _VM, COMPUTE_VERSION, ("Microsoft.Compute/virtualMachines/delete",)
    )
    DEPLOY = Operation(
        "PUT",
        _DEPLOYMENT,
        RESOURCES_VERSION,
        (
            "Microsoft.Resources/deployments/write",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.DevTestLab/schedules/write",
            "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action",
            "Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action",
            "Microsoft.Network/applicationSecurityGroups/write",
            "Microsoft.Network/networkInterfaces/join/action",
            "Microsoft.Network/networkInterfaces/write",
            "Microsoft.Network/networkSecurityGroups/join/action",
            "Microsoft.Network/networkSecurityGroups/write",
            "Microsoft.Network/publicIPAddresses/join/action",
            "Microsoft.Network/publicIPAddresses/write",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "Microsoft.Network/virtualNetworks/write",
        ),
    )
    GET_DEPLOYMENT = Operation(
        "GET", _DEPLOYMENT, RESOURCES_VERSION, ("Microsoft.Resources/deployments/read",)
    )
    GET_GROUP = Operation(
        "GET", _GROUP, RESOURCES_VERSION, ("Microsoft.Resources/subscriptions/resourceGroups/read",)
    )
    GET_PROVIDER = Operation(
        "GET",
        f"{_SUBSCRIPTION}/providers/{{namespace}}",
        RESOURCES_VERSION,
        ("Microsoft.Resources/subscriptions/providers/read",),
    )
    GET_SECURITY_GROUP = Operation(
        "GET",
        _SECURITY_GROUP,
        NETWORK_VERSION,
        ("Microsoft.Network/networkSecurityGroups/read",),
    )
    GET_SUBSCRIPTION = Operation(
        "GET", _SUBSCRIPTION, "2022-12-01", ("Microsoft.Resources/subscriptions/read",)
    )
    GET_VM = Operation("GET", _VM, COMPUTE_VERSION, ("Microsoft.Compute/virtualMachines/read",))
    LIST_EVENTS = Operation(
        "GET",
        f"{_SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values",
        "2015-04-01",
        ("Microsoft.Insights/eventtypes/values/read",),
    )
    LIST_GROUPS = Operation(
        "GET",
        f"{_SUBSCRIPTION}/resourcegroups",
        RESOURCES_VERSION,
        ("Microsoft.Resources/subscriptions/resourceGroups/read",),
    )
    LIST_INTERFACES = Operation(
        "GET",
        f"{_IN_GROUP}/Microsoft.Network/networkInterfaces",
        NETWORK_VERSION,
        ("Microsoft.Network/networkInterfaces/read",),
    )
    LIST_OFFERS = Operation(
        "GET",
        f"{_PUBLISHER}/artifacttypes/vmimage/offers",
        COMPUTE_VERSION,
        ("Microsoft.Compute/locations/publishers/artifacttypes/offers/read",),
    )
    LIST_PERMISSIONS = Operation(
        "GET",
        f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/permissions",
        "2022-04-01",
        ("Microsoft.Authorization/permissions/read",),
    )
    LIST_PUBLIC_ADDRESSES = Operation(
        "GET",
        f"{_IN_GROUP}/Microsoft.Network/publicIPAddresses",
        NETWORK_VERSION,
        ("Microsoft.Network/publicIPAddresses/read",),
    )
    LIST_SIZES = Operation(
        "GET", f"{_COMPUTE}/skus", "2021-07-01", ("Microsoft.Compute/skus/read",)
    )
    LIST_STATUSES = Operation(
        "GET",
        f"{_COMPUTE}/virtualMachines",
        COMPUTE_VERSION,
        ("Microsoft.Compute/virtualMachines/read",),
    )
    LIST_USAGES = Operation(
        "GET",
        f"{_COMPUTE}/locations/{{location}}/usages",
        COMPUTE_VERSION,
        ("Microsoft.Compute/locations/usages/read",),
    )
    LIST_VMS = Operation(
        "GET",
        f"{_IN_GROUP}/Microsoft.Compute/virtualMachines",
        COMPUTE_VERSION,
        ("Microsoft.Compute/virtualMachines/read",),
    )
    PUT_SECURITY_GROUP = Operation(
        "PUT",
        _SECURITY_GROUP,
        NETWORK_VERSION,
        (
            "Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action",
            "Microsoft.Network/networkSecurityGroups/write",
        ),
    )
    READ_CONSOLE = Operation(
        "POST",
        f"{_VM}/retrieveBootDiagnosticsData",
        COMPUTE_VERSION,
        ("Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action",),
    )

    @property
    def id(self) -> str:
        """What errors call it."""
        return self.name.lower().replace("_", " ").replace("vm", "virtual machine")


def permissions() -> list[str]:
    """Every permission an identity needs, sorted."""
    return sorted({one for action in Action for one in action.value.permissions})
