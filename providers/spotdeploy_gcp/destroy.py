"""Ending instances, and removing what is left when they are gone.

One that cannot be ended never keeps the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Node, Resource
from spotdeploy.refusals import raise_first
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver, PathParameters
from spotdeploy_gcp.claims import KIND as CLAIM
from spotdeploy_gcp.claims import from_rule
from spotdeploy_gcp.errors import IN_USE, MISSING
from spotdeploy_gcp.network import LOCATION, Firewall, described
from spotdeploy_gcp.nodes import ZonalId, label_filter
from spotdeploy_gcp.schemas import Disk, Operation, last
from spotdeploy_gcp.schemas import Firewall as Rule

MAX_PER_CALL: Final = 1000
"""Calls in one request: https://cloud.google.com/compute/docs/api/how-tos/batch"""
DISK: Final = "disk"
FIREWALL: Final = "firewall rule"
DISKS: Final = "disks/"
"""What tells a disk's id from that of the instance of the same name."""


def destroy_nodes(driver: GceDriver, ids: Sequence[str]) -> None:
    """Begin to delete these instances with their disks: one request for each thousand.

    A missing instance is success. Does not wait: an instance that stays is seen in the next
    listing.

    Raises:
        ThrottledError: Google asks for patience; repeating deletes the rest.
        ProviderError: Google's error for the first it refused for another reason, or an id that
            cannot be read. All the others were asked to go.
    """
    refusals: list[ProviderError] = []
    instances: list[PathParameters] = []
    for id_ in dict.fromkeys(ids):
        try:
            instances.append(ZonalId.parse(id_, driver.project).instance)
        except ProviderError as error:
            refusals.append(error)
    refusals += [
        error
        for start in range(0, len(instances), MAX_PER_CALL)
        for error in driver.together(
            Action.DELETE_INSTANCE, instances[start : start + MAX_PER_CALL]
        )
        if error is not None and error.code not in MISSING
    ]
    raise_first(refusals)


def leftovers(
    driver: GceDriver, firewall: Firewall, region: str, labels: Mapping[str, str]
) -> list[Resource]:
    """Everything here that carries these labels and is not an instance, and every firewall rule of
    ours. Two listings."""
    return _disks(driver, region, labels) + _firewalls(firewall, region)


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


def manual_delete_command(thing: Node | Resource, project: str) -> str:
    """The `gcloud` command that deletes it. `project` is for ids that name none; "" when it is not
    known. Raises ProviderError for an id that cannot be read."""
    if isinstance(thing, Resource) and thing.kind in (FIREWALL, CLAIM):
        of, name, _ = _rule_id(thing)
        return gcloud(f"firewall-rules delete {name}", of or project)
    noun = "disks" if isinstance(thing, Resource) else "instances"
    place = ZonalId.parse(thing.id.removeprefix(DISKS), project)
    return gcloud(f"{noun} delete {place.name} --zone {place.zone}", place.project)


def manual_list_command(labels: Mapping[str, str], project: str, of_network: str) -> str:
    """The `gcloud` commands that list what has these labels: firewall rules, which are in the
    network's project, have theirs in the description.
    https://cloud.google.com/sdk/gcloud/reference/topic/filters"""
    by_label = " AND ".join(
        f"labels.{key}:*" if value == names.ANY else f"labels.{key}={value}"
        for key, value in labels.items()
    )
    described_as = " AND ".join(
        f"description~{key if value == names.ANY else value}" for key, value in labels.items()
    )
    return "; ".join(
        gcloud(f"{noun} list --filter '{filter_}'", where)
        for noun, filter_, where in (
            ("instances", by_label, project),
            ("disks", by_label, project),
            ("firewall-rules", described_as, of_network),
        )
    )


def gcloud(command: str, project: str) -> str:
    """A command line. Without a project gcloud takes the one of its own configuration."""
    return f"gcloud compute {command}{f' --project {project}' if project else ''}"


def _rule_id(thing: Resource) -> tuple[str, str, str]:
    """A rule's project and name, and a claim's number; "" for what the id does not say."""
    number = ""
    path = thing.id
    if thing.kind == CLAIM:
        path, _, number = path.rpartition("/")
    project, _, name = path.rpartition("/")
    return project, name, number


def _disks(driver: GceDriver, region: str, labels: Mapping[str, str]) -> list[Resource]:
    query = {"filter": label_filter(labels)}
    found = driver.zonal(Action.LIST_DISKS, "disks", Disk, query, region)
    return [
        Resource(
            DISK,
            f"{DISKS}{ZonalId(driver.project, last(disk.zone), disk.name)}",
            "gcp",
            region,
            disk.labels,
            "in use" if disk.users else disk.status,
        )
        for disk in found
    ]


def _firewalls(firewall: Firewall, region: str) -> list[Resource]:
    return [
        _of_rule(rule, firewall.project, region)
        for rule in firewall.rules()
        if described(rule.description).get(LOCATION) == region
    ]


def _of_rule(rule: Rule, project: str, region: str) -> Resource:
    claim = from_rule(rule, project, region)
    if names.CLAIM in claim.labels:
        return claim
    return Resource(FIREWALL, f"{project}/{rule.name}", "gcp", region, claim.labels)


def _delete(driver: GceDriver, thing: Resource) -> list[ProviderError]:
    try:
        if thing.kind in (FIREWALL, CLAIM):
            project, name, number = _rule_id(thing)
            at = {"project": project or driver.project, "firewall": number or name}
            driver.call(Action.DELETE_FIREWALL, Operation, at)
        else:
            place = ZonalId.parse(thing.id.removeprefix(DISKS), driver.project)
            driver.call(Action.DELETE_DISK, Operation, place.disk)
    except (CredentialsError, ThrottledError):
        raise
    except ProviderError as error:
        return [] if error.code in MISSING | IN_USE else [error]
    return []
