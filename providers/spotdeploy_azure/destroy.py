"""Ending virtual machines, and removing what is left when they are gone.

One that cannot be ended never keeps the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Node, Resource
from spotdeploy.refusals import raise_first
from spotdeploy_azure.actions import Action
from spotdeploy_azure.activity import events, told_by
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.errors import GOING, MISSING
from spotdeploy_azure.nodes import Raw, split_id

FORCE_GROUP: Final = {"forceDeletionTypes": "Microsoft.Compute/virtualMachines"}
FORCE_VM: Final = {"forceDeletion": "true"}
"""Cuts the power instead of shutting down, which takes minutes:
https://learn.microsoft.com/en-us/azure/virtual-machines/delete#force-delete-for-vms"""
GROUP: Final = "resource group"
GROUP_DELETED: Final = "microsoft.resources/subscriptions/resourcegroups/delete"


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
        link = cloud.driver.begin(Action.DELETE_GROUP, {"group": group}, FORCE_GROUP)
        cloud.deletions[group.lower()] = link
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
    """What else is in the group must be known before it goes whole; where Compute cannot say that
    now, its machines go one by one."""
    try:
        machines = cloud.nodes.machines(group)
    except ThrottledError:
        return delete_machines(cloud, group, sorted(names))
    if machines is None:
        return []
    alive = living(machines)
    if not alive <= set(names):
        return delete_machines(cloud, group, sorted(alive & set(names)))
    try:
        delete_group(cloud, group)
    except CredentialsError:
        raise
    except ThrottledError as error:
        return [error]
    except ProviderError:
        return delete_machines(cloud, group, sorted(alive))
    return []


def _state(raw: Raw) -> str:
    properties: dict[str, Any] = raw.get("properties") or {}
    return str(properties.get("provisioningState", "")).lower()


def leftovers(cloud: Cloud, labels: Mapping[str, str]) -> list[Resource]:
    """Every group here of these labels' run, until it is gone. One listing."""
    return [
        Resource(
            kind=GROUP,
            id=group.name,
            provider="azure",
            location=cloud.location,
            labels=group.tags or {},
            detail=group.properties.provisioning_state,
            ending=group.going,
        )
        for group in cloud.nodes.groups(labels)
    ]


def release(cloud: Cloud, resources: Sequence[Resource]) -> None:
    """Begin to delete these. A missing one is success; one with a living machine stays, and one
    that is going is left to go. Where Compute is too busy to say what lives in a group, the word
    of the caller counts, who has nothing left to keep in it.

    Raises:
        ProviderError: Azure's error for the first one it refused, or why an earlier deletion of it
            failed, which is then begun again; the others were tried.
    """
    refused: list[ProviderError] = []
    for thing in resources:
        if thing.kind != GROUP or thing.ending or _in_use(cloud, thing.id):
            continue
        try:
            failure = _failure(cloud, thing.id)
            delete_group(cloud, thing.id)
        except CredentialsError:
            raise
        except ProviderError as error:
            refused.append(error)
        else:
            refused += [failure] if failure else []
    raise_first(refused)


def _in_use(cloud: Cloud, group: str) -> bool:
    try:
        machines = cloud.nodes.machines(group)
    except ThrottledError:
        return False
    return machines is not None and bool(living(machines))


def _failure(cloud: Cloud, group: str) -> ProviderError | None:
    """Why the last deletion of a group that stands failed, whoever began it. Azure rolls the group
    back then: https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/delete-resource-group
    """
    link = cloud.deletions.pop(group.lower(), "")
    try:
        if not link:
            return _logged_failure(cloud, group)
        cloud.driver.follow(f"delete group {group}", link)
    except (CredentialsError, ThrottledError):
        return None  # it cannot be read now; the deletion is begun again all the same
    except ProviderError as error:
        return None if error.code in MISSING else error
    return None


def _logged_failure(cloud: Cloud, group: str) -> ProviderError | None:
    """Why another process's deletion of the group failed, by the activity log."""
    log = events(cloud, f"resourceGroupName eq '{group}'")
    deletions = (one for one in log if one.operation_name.value.lower() == GROUP_DELETED)
    last = next(deletions, None)
    if last is None or last.status.value != "Failed":
        return None
    why = last.properties.status_message if last.properties else ""
    return ProviderError(f"{told_by(last)} failed: {why}", code="ResourceGroupDeletionFailed")


def manual_delete_command(thing: Node | Resource) -> str:
    """The arguments of `az` that delete it, or wait for it where Azure is deleting it:
    https://learn.microsoft.com/en-us/cli/azure/vm#az-vm-delete,
    https://learn.microsoft.com/en-us/cli/azure/group
    """
    if isinstance(thing, Node):
        place = split_id(thing.id)
        where = f"--resource-group {place[0]} --name {place[1]}" if place else f"--ids {thing.id}"
        return f"vm delete {where} --yes"
    if thing.ending:
        return f"group wait --name {thing.id} --deleted"
    return f"group delete --name {thing.id} --yes"
