"""Instances and disks as the API shows them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.labs.gcp.catalogue import ROOT
from tests.labs.gcp.state import Instance, stamp


def instance_resource(one: Instance, project: str, now: float) -> dict[str, Any]:
    """An instance."""
    place = f"{ROOT}/projects/{project}/zones/{one.zone}"
    asked = one.properties
    scheduling = {"preemptible": one.spot, **asked["scheduling"]}
    return {
        "kind": "compute#instance",
        "id": str(one.number),
        "name": one.name,
        "creationTimestamp": stamp(one.made_at),
        "zone": place,
        "machineType": f"{place}/machineTypes/{asked['machineType']}",
        "status": one.status(now),
        "selfLink": f"{place}/instances/{one.name}",
        "labels": dict(asked.get("labels", {})),
        "labelFingerprint": fingerprint(asked.get("labels", {})),
        "tags": {**asked.get("tags", {}), "fingerprint": fingerprint(asked.get("tags", {}))},
        "metadata": {
            "kind": "compute#metadata",
            "fingerprint": fingerprint(asked.get("metadata", {})),
            **asked.get("metadata", {}),
        },
        "scheduling": scheduling,
        "disks": [_attached(one, project)],
        "networkInterfaces": [_interface(one, project)],
        "shieldedInstanceConfig": {
            "enableSecureBoot": False,
            "enableVtpm": True,
            "enableIntegrityMonitoring": True,
        },
        "cpuPlatform": "Intel Broadwell",
        "deletionProtection": False,
        "startRestricted": False,
    }


def disk_resource(disk: dict[str, Any], project: str, *, attached: bool) -> dict[str, Any]:
    """A disk."""
    place = f"{ROOT}/projects/{project}/zones/{disk['zone']}"
    shown = {
        "kind": "compute#disk",
        "id": str(disk["number"]),
        "name": disk["name"],
        "creationTimestamp": stamp(disk["made_at"]),
        "sizeGb": disk["sizeGb"],
        "type": f"{place}/diskTypes/{disk['type']}",
        "zone": place,
        "status": "READY",
        "labels": disk["labels"],
        "labelFingerprint": fingerprint(disk["labels"]),
        "selfLink": f"{place}/disks/{disk['name']}",
    }
    if attached:
        shown["users"] = [f"{place}/instances/{disk['name']}"]
    return shown


def fingerprint(value: object) -> str:
    """What the API gives for optimistic locking."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest[:9]).decode()


def _attached(one: Instance, project: str) -> dict[str, Any]:
    asked = one.properties["disks"][0]
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "boot": True,
        "autoDelete": asked.get("autoDelete", False),
        "index": 0,
        "deviceName": "persistent-disk-0",
        "interface": "SCSI",
        "diskSizeGb": asked["initializeParams"]["diskSizeGb"],
        "source": f"{ROOT}/projects/{project}/zones/{one.zone}/disks/{one.name}",
    }


def _interface(one: Instance, project: str) -> dict[str, Any]:
    asked = one.properties["networkInterfaces"][0]
    region = one.zone.rpartition("-")[0]
    shown: dict[str, Any] = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": f"{ROOT}/{asked['network']}",
        "subnetwork": f"{ROOT}/projects/{project}/regions/{region}/subnetworks/default",
        "networkIP": one.private,
        "stackType": "IPV4_ONLY",
        "fingerprint": fingerprint(one.private),
    }
    if asked.get("accessConfigs"):
        config = asked["accessConfigs"][0]
        nat = {"natIP": one.public} if one.status(one.runs_at) == "RUNNING" else {}
        shown["accessConfigs"] = [
            {"kind": "compute#accessConfig", "networkTier": "PREMIUM", **config, **nat}
        ]
    return shown
