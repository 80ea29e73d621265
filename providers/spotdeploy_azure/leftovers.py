"""What may be left when the machines are gone: their resource group, with all that is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Resource
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.ending import delete_group, living

GROUP: Final = "resource group"


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
        for group in cloud.groups(labels)
        if names.matches(group.tags or {}, labels)
    ]


def release(cloud: Cloud, resources: Sequence[Resource]) -> None:
    """Begin to delete these. A missing one is success; one with a living machine stays, and one
    that is going is left to go.

    Raises:
        ProviderError: what Azure said of the first one it refused; the others were tried.
    """
    refused: list[ProviderError] = []
    for thing in resources:
        if thing.kind != GROUP or thing.detail == "Deleting":
            continue
        machines = cloud.machines(thing.id)
        if machines is None or living(machines):
            continue
        try:
            delete_group(cloud, thing.id)
        except (CredentialsError, ThrottledError):
            raise
        except ProviderError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def manual_delete_command(thing: Resource) -> str:
    """The arguments of `az` that delete it."""
    return f"group delete --name {thing.id} --yes"
