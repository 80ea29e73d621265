"""Nodes that are somewhere else, let in by their addresses: rules of the security group that the
nodes here have. https://learn.microsoft.com/en-us/rest/api/virtualnetwork/network-security-groups
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch
from spotdeploy.refusals import none_if_missing
from spotdeploy_azure.actions import Action
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.errors import MISSING
from spotdeploy_azure.network import Doors, elsewhere, rules
from spotdeploy_azure.request import group_name
from spotdeploy_azure.schemas import SecurityGroup
from spotdeploy_libcloud.request import Body

POLL_SECONDS: Final = 2.0
LONGEST: Final = 60.0
"""Seconds that a change of rules may take; they are few as a rule."""


def doors_of(cloud: Cloud, batch: Batch) -> Doors:
    """What a batch lets in, with those that an earlier one of its run has admitted. A call where
    nodes talk to each other: to make the group again would shut them out."""
    doors = Doors(cloud.own_address.ingress(batch), batch.open_between)
    there = _there(cloud, batch, doors) if doors.between else None
    return replace(doors, elsewhere=_admitted(there)) if there else doors


def admit(cloud: Cloud, batch: Batch, addresses: Sequence[str]) -> None:
    """Let these addresses in, and nobody else whom an earlier call named. Blocks until the rules
    are in force."""
    doors = Doors(cloud.own_address.ingress(batch), batch.open_between)
    there = _there(cloud, batch, doors)
    desired = tuple(sorted(str(ip_network(address)) for address in addresses))
    if there is None or sorted(_admitted(there)) == list(desired):
        return
    at = _at(cloud, batch, doors)
    home = f"/subscriptions/{cloud.driver.subscription_id}/resourceGroups/{at['group']}/providers"
    doors = replace(doors, elsewhere=desired)
    security_rules = rules(doors, lambda kind, name: f"{home}/{kind}/{name}")
    body: Body = {
        "location": there.location,
        "tags": there.tags or {},
        "properties": {"securityRules": security_rules},
    }
    group = cloud.driver.call(Action.PUT_SECURITY_GROUP, SecurityGroup, at, body=body)
    waited = 0.0
    while group.properties.provisioning_state == "Updating" and waited < LONGEST:
        cloud.pause(POLL_SECONDS)
        waited += POLL_SECONDS
        group = cloud.driver.call(Action.GET_SECURITY_GROUP, SecurityGroup, at)
    if group.properties.provisioning_state != "Succeeded":
        state = group.properties.provisioning_state
        raise ProviderError(f"the rules of {doors.group} are not in force: Azure says {state}")


def _there(cloud: Cloud, batch: Batch, doors: Doors) -> SecurityGroup | None:
    at, call = _at(cloud, batch, doors), cloud.driver.call
    return none_if_missing(lambda: call(Action.GET_SECURITY_GROUP, SecurityGroup, at), MISSING)


def _admitted(group: SecurityGroup) -> tuple[str, ...]:
    return elsewhere(group.properties.security_rules or ())


def _at(cloud: Cloud, batch: Batch, doors: Doors) -> dict[str, str]:
    return {"group": group_name(batch.labels, cloud.location), "security_group": doors.group}
