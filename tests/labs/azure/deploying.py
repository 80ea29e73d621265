"""What a deployment asks for, checked against what Microsoft publishes."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from tests.labs.azure.call import ArmError, Call, Json
from tests.labs.azure.catalogue import FIRST_GENERATION, OLD
from tests.labs.azure.published import DEVTESTLABS, version_of, violations
from tests.labs.azure.state import Group
from tests.labs.azure.template import Scope, expand, invalid, resource_id

PEER_GROUPS = "Microsoft.Network/applicationSecurityGroups"
MODELS = {
    "Microsoft.Compute/virtualMachines": "azure.mgmt.compute:VirtualMachine",
    PEER_GROUPS: "azure.mgmt.network:ApplicationSecurityGroup",
    "Microsoft.Network/networkSecurityGroups": "azure.mgmt.network:NetworkSecurityGroup",
    "Microsoft.Network/virtualNetworks": "azure.mgmt.network:VirtualNetwork",
    "Microsoft.DevTestLab/schedules": f"{DEVTESTLABS}:Schedule",
}
MACHINES = "Microsoft.Compute/virtualMachines"
INTERFACE_TAGS = "2025-04-01"
"""The first version of virtual machines whose interfaces are made with tags."""
ENVELOPE = ("type", "apiVersion", "name", "dependsOn", "comments")
MOST_RESOURCES = 800
LARGEST_CUSTOM_DATA = 87380
"""65535 bytes in base64."""


@dataclass
class Request:
    """The resources of a deployment."""

    machines: list[Json] = field(default_factory=list)
    """New ones."""
    known: list[str] = field(default_factory=list)
    """Ids of those that exist."""
    others: list[Json] = field(default_factory=list)


def requested(call: Call, group: Group, subscription: str, machines: Set[str]) -> Request:
    """What a deployment asks for. `machines` has the ids, in lower case, of those that exist.

    Raises ArmError for what Azure would not take.
    """
    properties = call.body["properties"]
    given = {key: one["value"] for key, one in properties.get("parameters", {}).items()}
    scope = Scope(subscription, group.name, given)
    found = [_identified(one, scope) for one in expand(properties["template"], scope)]
    if len(found) > MOST_RESOURCES:
        raise invalid(f"the number of template resources limit exceeded: {MOST_RESOURCES}")
    ids = {one["id"].lower() for one in found}
    if len(ids) < len(found):
        raise invalid("a resource is defined more than once")
    request = Request()
    for one in found:
        _require_dependencies(one, ids)
        if one["type"] != MACHINES:
            request.others.append(one)
        elif one["id"].lower() in machines:
            request.known.append(one["id"])
        else:
            _require_bootable(one)
            request.machines.append(one)
    return request


def wrong_with(template: Json, parameters: Json, scope: Scope) -> list[str]:
    """What in a template is not as published."""
    given = {key: one.get("value") for key, one in parameters.items()}
    wrong: list[str] = []
    for resource in expand(template, Scope(scope.subscription, scope.group, given)):
        kind = resource["type"]
        if kind not in MODELS:
            wrong.append(f"{kind}: no such type is known to the lab")
            continue
        if resource["apiVersion"] > str(version_of(kind)):
            wrong.append(f"{kind}: there is no version {resource['apiVersion']}")
        if resource["apiVersion"] < INTERFACE_TAGS and _tags_interfaces(resource):
            wrong.append(f"{kind}: interfaces have no tags in {resource['apiVersion']}")
        body = {key: value for key, value in resource.items() if key not in ENVELOPE}
        wrong += violations(MODELS[kind], body, request=True)
    return wrong


def require_networks_apart(resource: Json) -> None:
    """Raises ArmError for a rule with networks that overlap, as Azure was recorded to do."""
    for rule in resource["properties"].get("securityRules", ()):
        prefixes = rule["properties"].get("sourceAddressPrefixes", ())
        networks = [ipaddress.ip_network(one) for one in prefixes]
        for one, other in itertools.combinations(networks, 2):
            if one.version == other.version and one.overlaps(other):
                words = (
                    f"Security rule parameter SourceAddressPrefix for rule with Id {rule['name']} "
                    f"contains overlapping subnets [{one}, {other}]. Remove the conflicting "
                    "address prefix(es)."
                )
                raise ArmError(400, "OverlappingSubnetsNotPermittedInSecurityRule", words)


def require_rules_apart(resource: Json) -> None:
    """Raises ArmError for two rules of the same priority and direction:
    https://learn.microsoft.com/en-us/azure/virtual-network/network-security-groups-overview"""
    rules = resource["properties"].get("securityRules", ())
    for one, other in itertools.combinations(rules, 2):
        keys = [
            (its["properties"]["priority"], its["properties"]["direction"]) for its in (one, other)
        ]
        if keys[0] == keys[1]:
            words = (
                f"Security rule {one['name']} conflicts with rule {other['name']}. Rules cannot "
                "have the same Priority and Direction."
            )
            raise ArmError(400, "SecurityRuleConflict", words)


def require_peer_groups(resource: Json, known: Set[str], made: Set[str]) -> None:
    """Raises ArmError for a reference to an application security group that is not there. `known`
    has the ids, in lower case, of what the resource group holds, `made` of what the template makes,
    which must come first."""
    needed = {one.lower() for one in resource.get("dependsOn", ())}
    for id_ in _peer_groups(resource):
        if id_.lower() not in known | (made & needed):
            words = f"Resource {id_} referenced by resource {resource['id']} was not found."
            raise ArmError(400, "InvalidResourceReference", words)


def _peer_groups(resource: Json) -> Iterator[str]:
    """The ids of the application security groups that a resource names."""
    for key, value in resource["properties"].items():
        if key == "securityRules":
            named = [
                one
                for rule in value
                for one in rule["properties"].get("sourceApplicationSecurityGroups", ())
            ]
        elif key == "networkProfile":
            named = [
                one
                for interface in value["networkInterfaceConfigurations"]
                for address in interface["properties"]["ipConfigurations"]
                for one in address["properties"].get("applicationSecurityGroups", ())
            ]
        else:
            continue
        yield from (one["id"] for one in named)


def _tags_interfaces(resource: Json) -> bool:
    profile = resource["properties"].get("networkProfile", {})
    return any("tags" in one for one in profile.get("networkInterfaceConfigurations", ()))


def _tagless(resource: Json) -> list[str]:
    """What of a resource, and of what is made with it, has no tags."""
    found = [] if resource.get("tags") else [resource["name"]]
    profile = resource["properties"].get("networkProfile", {})
    for one in profile.get("networkInterfaceConfigurations", ()):
        found += [] if one.get("tags") else [one["name"]]
        for address in one["properties"]["ipConfigurations"]:
            public = address["properties"].get("publicIPAddressConfiguration")
            found += [public["name"]] if public and not public.get("tags") else []
    return found


def require_tags(resources: Sequence[Json]) -> None:
    """Raises ArmError when a policy asks for tags and one of these has none:
    https://learn.microsoft.com/en-us/azure/governance/policy/samples/built-in-policies#tags"""
    for name in (name for one in resources for name in _tagless(one)):
        words = (
            f"Resource '{name}' was disallowed by policy. Policy identifiers: '[{{\"policy"
            'Assignment":{"name":"Require a tag on resources"}}]\'.'
        )
        raise ArmError(403, "RequestDisallowedByPolicy", words, target=name)


def require_generation(machine: Json) -> None:
    """Raises ArmError for an image that the machine's size does not boot, after
    https://learn.microsoft.com/en-us/azure/virtual-machines/generation-2"""
    properties = machine["properties"]
    size, image = (
        properties["hardwareProfile"]["vmSize"],
        properties["storageProfile"]["imageReference"],
    )
    if size == OLD and not image.get("sku", "gen1").endswith(FIRST_GENERATION):
        words = (
            f"The selected VM size '{size}' cannot boot Hypervisor Generation '2'. If this was a "
            "Create operation please check that the Hypervisor Generation of the Image matches the "
            "Hypervisor Generation of the selected VM Size."
        )
        inner = {"code": "BadRequest", "message": words}
        raise ArmError(400, "InvalidTemplateDeployment", "It is not valid.", [inner])


def _identified(resource: Json, scope: Scope) -> Json:
    return {**resource, "id": resource_id(scope, resource["type"], resource["name"])}


def _require_dependencies(resource: Json, ids: Set[str]) -> None:
    for needed in resource.get("dependsOn", ()):
        if needed.lower() not in ids:
            raise invalid(f"the resource '{needed}' is not defined in the template")


def _require_bootable(machine: Json) -> None:
    properties = machine["properties"]
    system = properties["osProfile"]
    if len(system.get("customData", "")) > LARGEST_CUSTOM_DATA:
        words = "Custom data in OSProfile must be in Base64 encoding and with a maximum length of "
        raise ArmError(400, "InvalidParameter", f"{words}{LARGEST_CUSTOM_DATA} characters.")
    if properties.get("priority") != "Spot" and "billingProfile" in properties:
        words = "Max price is supported only for Azure Spot Virtual Machines."
        raise ArmError(400, "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines", words)
    if len(machine["name"]) > 64:
        raise ArmError(400, "InvalidParameter", "Linux host name cannot exceed 64 characters.")
