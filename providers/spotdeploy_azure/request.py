"""The deployment of a batch. Pure functions: what is asked for, as data.

One template makes the run's security group and network, all virtual machines of the batch and
their shutdown schedules; deploying it is one call:
https://learn.microsoft.com/en-us/azure/azure-resource-manager/templates/syntax
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spotdeploy import labels as label_names
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_azure.actions import COMPUTE_VERSION, INTERFACE_TAGS_VERSION, SCHEDULES_VERSION
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.network import (
    GROUPS,
    NETWORK,
    NETWORKS,
    PEER_GROUPS,
    PEERS,
    Doors,
    interface,
    resources,
    takes_interface_tags,
)
from spotdeploy_libcloud.request import Body, Json, check_user_data

USER_DATA_LIMIT: Final = 65535
"""Bytes before base64: https://learn.microsoft.com/en-us/azure/virtual-machines/custom-data"""
SCHEMA: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
TEMPLATE_LIMIT: Final = 3_500_000
"""Bytes of a template with all its copies; Azure's limit is 4 MB:
https://learn.microsoft.com/en-us/azure/azure-resource-manager/templates/best-practices"""
MAX_RESOURCES: Final = 800
VM_BYTES: Final = 4_000
"""About what a machine and its schedule take in a template, without user-data."""
MAX_GROUP_NAME: Final = 90
MAX_DEPLOYMENT_NAME: Final = 64
DAY: Final = 86400
ADMIN: Final = "azureuser"
MACHINES: Final = "Microsoft.Compute/virtualMachines"


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about a launch that had to be looked up."""

    location: str
    image: Body
    """An `imageReference`."""
    doors: Doors
    admin_key: str
    """The public key of the account that Azure makes, which nobody uses."""


@dataclass(frozen=True, slots=True)
class Part:
    """As many machines of a batch as one deployment takes."""

    deployment: str
    first: int
    """Number of the first machine, from 1."""
    count: int


def group_name(labels: Mapping[str, str], location: str) -> str:
    """The resource group of a run in a location: at most 90 characters, cut in the deployment's
    name, since the run's id is unique."""
    end = f"-{labels[label_names.RUN]}-{location}"
    return f"spotdeploy-{labels[label_names.DEPLOYMENT]}"[: MAX_GROUP_NAME - len(end)] + end


def group_tags(labels: Mapping[str, str], config: AzureConfig) -> dict[str, str]:
    """The tags of the group: those of its run, since it may hold several batches."""
    of_run = {key: value for key, value in labels.items() if key != label_names.BATCH}
    return {**config.tags, **of_run}


def machine_names(batch: Batch) -> list[str]:
    """The machines' names, the same for the same token."""
    return [f"{_stem(batch)}-{number}" for number in range(1, batch.count + 1)]


def parts(batch: Batch) -> list[Part]:
    """The deployments of a batch: one, unless a template would get too large."""
    size = VM_BYTES + len(batch.user_data) * 4 // 3
    shared = 2 if batch.open_between is None else 3
    most = min(TEMPLATE_LIMIT // size, (MAX_RESOURCES - shared) // 2)
    starts = range(0, batch.count, most)
    return [
        Part(_deployment_name(batch.token, number), start + 1, min(most, batch.count - start))
        for number, start in enumerate(starts)
    ]


def deployment(offer: Offer, batch: Batch, part: Part, site: Site, config: AzureConfig) -> Body:
    """The body of the call that makes a part of a batch."""
    tags = {**config.tags, **batch.labels}
    run_tags = {key: _literal(value) for key, value in group_tags(batch.labels, config).items()}
    own_tags = {key: _literal(value) for key, value in tags.items()}
    copies: list[Body] = [_machines(offer, batch, part, site, own_tags, config)]
    if config.auto_shutdown and (at := shutdown_time(batch.time_to_live, time.time())):
        copies.append({**_schedules(part, site.location, _stem(batch), at), "tags": own_tags})
    template: Body = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {"userData": {"type": "secureString"}},
        "resources": [
            *resources(site.location, run_tags, site.doors, config),
            *copies,
        ],
    }
    user_data = base64.b64encode(batch.user_data).decode("ascii")
    properties: Body = {"mode": "Incremental", "template": template}
    return {"properties": {**properties, "parameters": {"userData": {"value": user_data}}}}


def shutdown_time(time_to_live: float, now: float) -> str | None:
    """The time of day (UTC, HHMM) at which a time to live ends, or None when a daily schedule
    would end a node too early: it knows no dates."""
    if time_to_live >= DAY:
        return None
    return time.strftime("%H%M", time.gmtime(now + time_to_live))


def market_properties(market: Market, limit: float | None) -> Body:
    """What makes a machine a Spot one: deleted when Azure takes it back, for no more than the
    limit in USD per hour; -1 is up to the regular price.

    https://learn.microsoft.com/en-us/azure/virtual-machines/spot-vms
    """
    if market is not Market.SPOT:
        return {}
    price = -1 if limit is None else round(limit, 5)
    return {
        "priority": "Spot",
        "evictionPolicy": "Delete",
        "billingProfile": {"maxPrice": price},
    }


def check(batch: Batch) -> None:
    """Raises ConfigError, with both sizes, when user-data is larger than Azure takes."""
    check_user_data(batch.user_data, USER_DATA_LIMIT, "Azure")


def _machines(
    offer: Offer,
    batch: Batch,
    part: Part,
    site: Site,
    tags: Mapping[str, str],
    config: AzureConfig,
) -> Body:
    name = _copy_name(_stem(batch), part)
    needed = [f"[resourceId('{GROUPS}', '{site.doors.group}')]"]
    if not config.subnet:
        needed.append(f"[resourceId('{NETWORKS}', '{NETWORK}')]")
    if site.doors.between is not None:
        needed.append(f"[resourceId('{PEER_GROUPS}', '{PEERS}')]")
    resource: dict[str, Json] = {
        "type": MACHINES,
        "apiVersion": INTERFACE_TAGS_VERSION if takes_interface_tags(config) else COMPUTE_VERSION,
        "name": name,
        "location": site.location,
        "tags": tags,
        "copy": {"name": "machines", "count": part.count},
        "dependsOn": list(needed),
        "properties": {
            "hardwareProfile": {"vmSize": offer.size},
            "storageProfile": {"imageReference": site.image, "osDisk": _disk(name, config)},
            "osProfile": _system(name, site.admin_key),
            "networkProfile": {
                "networkApiVersion": "2022-11-01",
                "networkInterfaceConfigurations": [interface(name, tags, site.doors, config)],
            },
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
            **market_properties(offer.market, batch.max_usd_per_hour),
        },
    }
    if offer.zone:
        resource["zones"] = [offer.zone]
    return resource


def _disk(name: str, config: AzureConfig) -> Body:
    return {
        "name": f"[concat({name[1:-1]}, '-disk')]",
        "createOption": "FromImage",
        "deleteOption": "Delete",
        "caching": "ReadWrite",
        "diskSizeGB": config.root_volume_gb,
        "managedDisk": {"storageAccountType": config.disk_type},
    }


def _system(name: str, key: str) -> Body:
    path = f"/home/{ADMIN}/.ssh/authorized_keys"
    return {
        "computerName": name,
        "adminUsername": ADMIN,
        "customData": "[parameters('userData')]",
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [{"path": path, "keyData": key}]},
        },
    }


def _schedules(part: Part, location: str, stem: str, at: str) -> Body:
    """https://learn.microsoft.com/en-us/azure/virtual-machines/auto-shutdown-vm: it deallocates."""
    name = _copy_name(stem, part)
    target = f"resourceId('{MACHINES}', {name[1:-1]})"
    return {
        "type": "Microsoft.DevTestLab/schedules",
        "apiVersion": SCHEDULES_VERSION,
        "name": f"[concat('shutdown-computevm-', {name[1:-1]})]",
        "location": location,
        "copy": {"name": "schedules", "count": part.count},
        "dependsOn": [f"[{target}]"],
        "properties": {
            "status": "Enabled",
            "taskType": "ComputeVmShutdownTask",
            "dailyRecurrence": {"time": at},
            "timeZoneId": "UTC",
            "targetResourceId": f"[{target}]",
            "notificationSettings": {"status": "Disabled"},
        },
    }


def _copy_name(stem: str, part: Part) -> str:
    return f"[concat('{stem}-', copyIndex({part.first}))]"


def _stem(batch: Batch) -> str:
    digest = hashlib.sha256(batch.token.encode()).hexdigest()[:8]
    return f"{batch.labels[label_names.DEPLOYMENT][:45]}-{digest}"


def _deployment_name(token: str, number: int) -> str:
    """The token itself for the first part, and what fits for the others."""
    name = token if number == 0 else f"{token}-{number}"
    if len(name) <= MAX_DEPLOYMENT_NAME:
        return name
    return hashlib.sha256(name.encode()).hexdigest()


def _literal(text: str) -> str:
    """Text that a template takes as it is: text in brackets would be an expression."""
    return f"[{text}" if text.startswith("[") and text.endswith("]") else text
