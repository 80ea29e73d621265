"""Ending instances, and removing what is left when they are gone.

One that cannot be ended never keeps the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Resource
from spotdeploy.provider import require_labels
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver
from spotdeploy_gcp.errors import IN_USE, MISSING
from spotdeploy_gcp.network import LOCATION, PREFIX, described
from spotdeploy_gcp.nodes import label_filter, node_id, split_id
from spotdeploy_gcp.schemas import Disk, Firewall, Operation, last
from spotdeploy_libcloud.errors import raise_first

MAX_PER_CALL: Final = 1000
"""Calls in one request: https://cloud.google.com/compute/docs/api/how-tos/batch"""
DISK: Final = "disk"
FIREWALL: Final = "firewall rule"
DISKS: Final = "disks/"
"""What tells a disk's id from that of the instance of the same name."""


def destroy_nodes(driver: GceDriver, ids: Sequence[str]) -> None:
    """Begin to delete these instances with their disks: one request for each thousand.

    An id that no instance can have names nothing, and a missing instance is success. Does not
    wait: an instance that stays is seen in the next listing.

    Raises:
        ThrottledError: Google asks for patience; repeating deletes the rest.
        ProviderError: Google's error for the first it refused for another reason. All the others
            were asked to go.
    """
    places = [place for id_ in dict.fromkeys(ids) if (place := split_id(id_))]
    instances = [{"zone": zone, "instance": name} for zone, name in places]
    refusals = [
        error
        for start in range(0, len(instances), MAX_PER_CALL)
        for error in driver.together(
            Action.DELETE_INSTANCE, instances[start : start + MAX_PER_CALL]
        )
        if error is not None and error.code not in MISSING
    ]
    raise_first(refusals)


def leftovers(driver: GceDriver, region: str, labels: Mapping[str, str]) -> list[Resource]:
    """Everything here that carries these labels and is not an instance. Two listings.

    Raises ValueError for empty labels.
    """
    require_labels(labels)
    return _disks(driver, region, labels) + _firewalls(driver, region, labels)


def release(driver: GceDriver, resources: Sequence[Resource]) -> None:
    """Begin to delete these. A missing one is success; one in use stays.

    Raises:
        ProviderError: Google's error for the first one it refused for another reason; the others
            were tried.
    """
    refused: list[ProviderError] = []
    for thing in resources:
        refused += _delete(driver, thing)
    raise_first(refused)


def manual_delete_command(thing: Resource) -> str:
    """The arguments of `gcloud compute` that delete it."""
    place = split_id(thing.id.removeprefix(DISKS))
    if thing.kind == DISK and place:
        return f"disks delete {place[1]} --zone {place[0]}"
    return f"firewall-rules delete {thing.id}"


def _disks(driver: GceDriver, region: str, labels: Mapping[str, str]) -> list[Resource]:
    query = {"filter": label_filter(labels)}
    found = driver.zonal(Action.LIST_DISKS, "disks", Disk, query, region)
    return [
        Resource(
            DISK,
            f"{DISKS}{node_id(last(disk.zone), disk.name)}",
            "gcp",
            region,
            disk.labels,
            "in use" if disk.users else disk.status,
        )
        for disk in found
    ]


def _firewalls(driver: GceDriver, region: str, labels: Mapping[str, str]) -> list[Resource]:
    query = {"filter": f'name eq "{PREFIX}.*"'}
    found = [
        (rule.name, described(rule.description))
        for rule in driver.pages(Action.LIST_FIREWALLS, Firewall, query)
    ]
    return [
        Resource(FIREWALL, name, "gcp", region, {k: v for k, v in its.items() if k != LOCATION})
        for name, its in found
        if its.get(LOCATION) == region and names.matches(its, labels)
    ]


def _delete(driver: GceDriver, thing: Resource) -> list[ProviderError]:
    place = split_id(thing.id.removeprefix(DISKS))
    try:
        if thing.kind == FIREWALL:
            driver.call(Action.DELETE_FIREWALL, Operation, {"firewall": thing.id})
        elif place is not None:
            at = {"zone": place[0], "disk": place[1]}
            driver.call(Action.DELETE_DISK, Operation, at)
    except (CredentialsError, ThrottledError):
        raise
    except ProviderError as error:
        return [] if error.code in MISSING | IN_USE else [error]
    return []
