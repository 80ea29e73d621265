"""Ending virtual machines, and removing what is left when they are gone.

One that cannot be ended never keeps the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Resource
from spotdeploy_azure.actions import Action
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.errors import GOING, MISSING
from spotdeploy_azure.nodes import Raw, split_id
from spotdeploy_libcloud.errors import raise_first

FORCE_GROUP: Final = {"forceDeletionTypes": "Microsoft.Compute/virtualMachines"}
FORCE_VM: Final = {"forceDeletion": "true"}
"""Cuts the power instead of shutting down, which takes minutes:
https://learn.microsoft.com/en-us/azure/virtual-machines/delete#force-delete-for-vms"""
GROUP: Final = "resource group"


def destroy_nodes(cloud: Cloud, ids: Sequence[str]) -> None:
    """Begin to end these machines. A group of which nothing would be left goes whole, with one
    call; otherwise its machines go one by one, each with its interface, address and disk.

    Raises:
        ProviderError: Azure's error for the first machine it refused to end. All the others were
            asked to go.
    """
    groups: dict[str, list[str]] = {}
    for place in (split_id(id_) for id_ in dict.fromkeys(ids)):
        if place is not None:
            groups.setdefault(place[0], []).append(place[1])
    refused = [error for group, names in groups.items() for error in _end(cloud, group, names)]
    raise_first(refused)


def delete_group(cloud: Cloud, group: str) -> None:
    """Begin to delete a resource group with all that is in it. A missing one is success.

    Raises ProviderError when Azure refuses.
    """
    try:
        cloud.driver.call(Action.DELETE_GROUP, object, {"group": group}, query=FORCE_GROUP)
    except ProviderError as error:
        if error.code not in MISSING | GOING:
            raise


def delete_machines(cloud: Cloud, group: str, names: Sequence[str]) -> list[ProviderError]:
    """Begin to delete these machines, one by one. Gives the error of each that stays."""
    refused = []
    for name in names:
        try:
            at = {"group": group, "vm": name}
            cloud.driver.call(Action.DELETE_VM, object, at, query=FORCE_VM)
        except CredentialsError:
            raise
        except ProviderError as error:
            if error.code not in MISSING | GOING:
                refused.append(error)
    return refused


def living(machines: Sequence[Raw]) -> set[str]:
    """The names of those that are not on their way out."""
    return {str(raw["name"]).lower() for raw in machines if _state(raw) != "deleting"}


def _end(cloud: Cloud, group: str, names: Collection[str]) -> list[ProviderError]:
    try:
        machines = cloud.nodes.machines(group)
        if machines is None:
            return []
        alive = living(machines)
        if alive <= set(names):
            try:
                delete_group(cloud, group)
            except (CredentialsError, ThrottledError):
                raise
            except ProviderError:
                return delete_machines(cloud, group, sorted(alive))
            return []
    except ThrottledError as error:
        return [error]
    return delete_machines(cloud, group, sorted(alive & set(names)))


def _state(raw: Raw) -> str:
    properties: dict[str, Any] = raw.get("properties") or {}
    return str(properties.get("provisioningState", "")).lower()


def leftovers(cloud: Cloud, labels: Mapping[str, str]) -> list[Resource]:
    """Every group here that carries these labels, until it is gone. One listing.

    Raises ValueError for empty labels.
    """
    return [
        Resource(
            kind=GROUP,
            id=group.name,
            provider="azure",
            location=cloud.location,
            labels=group.tags or {},
            detail=group.properties.provisioning_state,
        )
        for group in cloud.nodes.groups(labels)
        if names.matches(group.tags or {}, labels)
    ]


def release(cloud: Cloud, resources: Sequence[Resource]) -> None:
    """Begin to delete these. A missing one is success; one with a living machine stays, and one
    that is going is left to go.

    Raises:
        ProviderError: Azure's error for the first one it refused; the others were tried.
    """
    refused: list[ProviderError] = []
    for thing in resources:
        if thing.kind != GROUP or thing.detail == "Deleting":
            continue
        machines = cloud.nodes.machines(thing.id)
        if machines is None or living(machines):
            continue
        try:
            delete_group(cloud, thing.id)
        except (CredentialsError, ThrottledError):
            raise
        except ProviderError as error:
            refused.append(error)
    raise_first(refused)


def manual_delete_command(thing: Resource) -> str:
    """The arguments of `az` that delete it."""
    return f"group delete --name {thing.id} --yes"
