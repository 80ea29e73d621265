"""Azure's answers about what the lab holds."""

from __future__ import annotations

import copy
from typing import Any

from tests.labs.azure.call import Json
from tests.labs.azure.state import Deployment, Group, Machine, stamp


def group(one: Group, now: float, subscription: str) -> Json:
    """A resource group."""
    state = "Succeeded" if one.ends_at is None else "Deleting"
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{one.name}",
        "name": one.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": one.location,
        "tags": dict(one.tags),
        "properties": {"provisioningState": state},
    }


def machine(one: Machine, now: float) -> Json:
    """A virtual machine, without what it is doing. Azure spells its group in capitals at times."""
    sent = copy.deepcopy(one.body["properties"])
    sent["osProfile"].pop("customData")
    profile = {"networkInterfaces": [{"id": interface_id(one)}]}
    properties: Json = {
        **sent,
        "networkProfile": profile,
        "provisioningState": one.state(now),
        "timeCreated": stamp(one.made_at),
        "vmId": f"00000000-0000-0000-0000-{one.number:012d}",
    }
    found: Json = {
        "id": one.id.replace(one.group.name, one.group.name.upper()),
        "name": one.name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": one.body["location"],
        "tags": one.body.get("tags", {}),
        "properties": properties,
    }
    return found | ({"zones": one.body["zones"]} if one.zone else {})


def security_group(group: Group, id_: str) -> Json:
    """A network security group: while it changes, as it will be."""
    resource = group.changes[id_][1] if id_ in group.changes else group.resources[id_]
    state = "Updating" if id_ in group.changes else "Succeeded"
    rules = copy.deepcopy(resource["properties"].get("securityRules", []))
    for rule in rules:
        rule["properties"]["provisioningState"] = state
    return {
        "id": resource["id"],
        "name": resource["name"],
        "type": "Microsoft.Network/networkSecurityGroups",
        "location": resource["location"],
        "tags": resource.get("tags", {}),
        "properties": {"provisioningState": state, "securityRules": rules},
    }


def view(one: Machine, now: float) -> Json:
    """What a virtual machine is doing."""
    return {"statuses": one.statuses(now)}


def status(one: Machine, now: float) -> Json:
    """A machine as a listing with `statusOnly` has it."""
    return {
        "id": one.id.replace(one.group.name, one.group.name.upper()),
        "name": one.name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": one.body["location"],
        "properties": {"instanceView": view(one, now)},
    }


def interface(one: Machine) -> Json:
    """Its network interface."""
    configuration: Json = {
        "privateIPAddress": one.private_address,
        "privateIPAllocationMethod": "Dynamic",
        "primary": True,
    }
    if one.public_address:
        configuration["publicIPAddress"] = {"id": address_id(one)}
    return {
        "id": interface_id(one),
        "name": interface_id(one).rpartition("/")[2],
        "type": "Microsoft.Network/networkInterfaces",
        "location": one.body["location"],
        "properties": {
            "provisioningState": "Succeeded",
            "virtualMachine": {"id": one.id},
            "ipConfigurations": [{"name": "address", "properties": configuration}],
        },
    }


def public_address(one: Machine) -> Json:
    """Its public address."""
    return {
        "id": address_id(one),
        "name": address_id(one).rpartition("/")[2],
        "type": "Microsoft.Network/publicIPAddresses",
        "location": one.body["location"],
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "provisioningState": "Succeeded",
            "publicIPAllocationMethod": "Static",
            "ipAddress": one.public_address,
        },
    }


def interface_id(one: Machine) -> str:
    """Azure adds some characters to the configured name."""
    name = f"{one.interface['name']}-{one.number:08x}"
    return _network_id(one, "networkInterfaces", name)


def address_id(one: Machine) -> str:
    """The same for the public address."""
    return _network_id(one, "publicIPAddresses", f"{one.name}-ip-{one.number:08x}")


def disk_id(one: Machine) -> str:
    """The id of its disk."""
    name = one.body["properties"]["storageProfile"]["osDisk"]["name"]
    return _id(one.group, f"Microsoft.Compute/disks/{name}", one.id)


def deployment(one: Deployment, now: float, at: str) -> Json:
    """A deployment, which does not tell what was given for secure parameters."""
    state = one.state(now)
    properties: Json = {
        "mode": "Incremental",
        "provisioningState": state,
        "timestamp": stamp(one.made_at),
        "parameters": {"userData": {"type": "SecureString"}},
    }
    if state == "Failed":
        properties["error"] = deployment_error(one)
    return {
        "id": at,
        "name": one.name,
        "type": "Microsoft.Resources/deployments",
        "properties": properties,
    }


def deployment_error(one: Deployment) -> Json:
    """The causes are JSON inside messages:
    https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/find-error-code
    """
    details: list[Any] = []
    for machine_ in one.machines:
        if machine_.trouble:
            words = machine_.trouble.words.replace('"', "'")
            inner = f'"code": "{machine_.trouble.code}",\r\n    "message": "{words}"'
            message = f'{{\r\n  "status": "Failed",\r\n  "error": {{\r\n    {inner}\r\n  }}\r\n}}'
            details.append({"code": "Conflict", "message": message, "target": machine_.id})
    return {
        "code": "DeploymentFailed",
        "message": "At least one resource deployment operation failed. Please list deployment "
        "operations for details. Please see https://aka.ms/arm-deployment-operations.",
        "details": details,
    }


def _network_id(one: Machine, kind: str, name: str) -> str:
    return _id(one.group, f"Microsoft.Network/{kind}/{name}", one.id)


def _id(group: Group, rest: str, like: str) -> str:
    subscription = like.split("/")[2]
    return f"/subscriptions/{subscription}/resourceGroups/{group.name}/providers/{rest}"
