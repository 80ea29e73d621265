"""Bulk insert: https://cloud.google.com/compute/docs/instances/multiple/about-bulk-creation"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.labs.gcp import catalogue, policies
from tests.labs.gcp.call import Call, GoogleError, missing
from tests.labs.gcp.faults import Trouble
from tests.labs.gcp.state import Instance, Operation

if TYPE_CHECKING:
    from tests.labs.gcp.cloud import Cloud

LONGEST_LIFE = 120 * 86400
SHORTEST_LIFE = 30
METADATA_LIMIT = 262144
METADATA_TOTAL = 524288
"""https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations"""
NO_PERSISTENT_DISK = ("c4", "h4d", "n4")


def insert(cloud: Cloud, call: Call) -> Operation:
    """As many instances as there is room for, and the operation that says so.

    A repeated requestId gives the first operation again, and makes nothing.
    """
    request = call.query.get("requestId", "")
    if request in cloud.requests:
        return cloud.requests[request]
    zone, asked = call.name("zone"), call.body
    properties = asked["instanceProperties"]
    _require(cloud, zone, asked, properties)
    names = list(asked["perInstanceProperties"])
    count, least = int(asked["count"]), int(asked.get("minCount", asked["count"]))
    taken = [name for name in names if (zone, name) in cloud.instances]
    if taken:
        words = f"The resource 'projects/{cloud.project}/zones/{zone}/instances/{taken[0]}'"
        raise GoogleError(409, "alreadyExists", f"{words} already exists")
    market = properties["scheduling"].get("provisioningModel", "STANDARD")
    granted, trouble = cloud.faults.grant(zone, properties["machineType"], market, count)
    if forbidden := policies.late(cloud, properties):
        granted, trouble = 0, forbidden
    made = 0 if granted < least else granted
    group = f"group-{cloud.number()}"
    for name in names[:made]:
        _make(cloud, zone, name, properties)
        _part(cloud, zone, name, group, None)
    for name in names[made:count]:
        _part(cloud, zone, name, group, trouble)
    done = cloud.record(
        "bulkInsert",
        f"projects/{cloud.project}/zones/{zone}",
        f"zones/{zone}",
        errors=_errors(cloud, trouble, made, least),
        group=group,
        created=made,
        wanted=count,
        request=request,
    )
    if request:
        cloud.requests[request] = done
    cloud.changed()
    return done


def _errors(cloud: Cloud, trouble: Trouble | None, made: int, least: int) -> list[Trouble]:
    if trouble is None:
        return []
    words = f"Requested minimum count of {least} VMs could not be created."
    summary = [] if made else [Trouble("VM_MIN_COUNT_NOT_REACHED", words)]
    return summary if cloud.faults.unlisted_cause else [*summary, trouble]


def _part(cloud: Cloud, zone: str, name: str, group: str, trouble: Trouble | None) -> None:
    cloud.record(
        "insert",
        f"projects/{cloud.project}/zones/{zone}/instances/{name}",
        f"zones/{zone}",
        errors=[trouble] if trouble else [],
        group=group,
    )


def _make(cloud: Cloud, zone: str, name: str, properties: dict[str, Any]) -> None:
    number = cloud.number()
    public, private = cloud.addresses(number)
    made_at = cloud.now
    runs_at = made_at + cloud.timing.operation + cloud.timing.boot
    cloud.instances[zone, name] = Instance(
        name,
        zone,
        number,
        properties,
        made_at,
        runs_at,
        public,
        private,
        running=not cloud.boots_later,
    )
    disk = properties["disks"][0]["initializeParams"]
    cloud.disks[zone, name] = {
        "name": name,
        "zone": zone,
        "number": cloud.number(),
        "made_at": made_at,
        "sizeGb": disk["diskSizeGb"],
        "type": disk["diskType"],
        "labels": disk.get("labels", {}),
    }


def _require(cloud: Cloud, zone: str, asked: dict[str, Any], properties: dict[str, Any]) -> None:
    """What the schema cannot say."""
    size = properties["machineType"]
    if not any((one["zone"], one["name"]) == (zone, size) for one in _sold(cloud)):
        raise _invalid(f"machine type {size} in {zone}")
    if len(asked["perInstanceProperties"]) != int(asked["count"]):
        raise _invalid("count and the number of perInstanceProperties differ")
    for name in asked["perInstanceProperties"]:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise _invalid(f"name {name}")
    for key, value in properties.get("labels", {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(
            r"[a-z0-9_-]{0,63}", value
        ):
            raise _invalid(f"label {key}={value}")
    for tag in properties.get("tags", {}).get("items", []):
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", tag):
            raise _invalid(f"tag {tag}")
    for item in properties.get("metadata", {}).get("items", []):
        if len(item["value"].encode()) > METADATA_LIMIT:
            raise _invalid(f"metadata {item['key']} is larger than {METADATA_LIMIT} bytes")
    total = (
        sum(len(one["key"]) + len(one["value"].encode()) for one in properties["metadata"]["items"])
        if "metadata" in properties
        else 0
    )
    if total > METADATA_TOTAL:
        raise _invalid(f"metadata has more than {METADATA_TOTAL} bytes")
    _require_image(cloud, properties)
    _require_network(cloud, zone, properties["networkInterfaces"][0])
    _require_scheduling(properties["scheduling"])
    _require_fit(
        properties["scheduling"], size, properties["disks"][0]["initializeParams"]["diskType"]
    )
    policies.require(cloud, zone, properties)


def _require_image(cloud: Cloud, properties: dict[str, Any]) -> None:
    image = properties["disks"][0]["initializeParams"]["sourceImage"]
    known = {
        one["selfLink"]: int(one["diskSizeGb"])
        for project in catalogue.IMAGES
        for one in catalogue.images(project).values()
    }
    if image not in known:
        where = "resource.instanceProperties.disks[0].initializeParams.sourceImage"
        words = f"Invalid value for field '{where}': '{image}'. The referenced image resource"
        raise GoogleError(400, "invalid", f"{words} cannot be found.")
    given = int(properties["disks"][0]["initializeParams"]["diskSizeGb"])
    if given < known[image]:
        where = "resource.instanceProperties.disks[0].initializeParams.diskSizeGb"
        words = f"Requested disk size cannot be smaller than the image size ({known[image]} GB)"
        raise GoogleError(400, "invalid", f"Invalid value for field '{where}': '{given}'. {words}")


def _require_network(cloud: Cloud, zone: str, interface: dict[str, Any]) -> None:
    """https://cloud.google.com/vpc/docs/vpc#subnet-ranges"""
    _, project, _, _, name = interface["network"].split("/")
    network = cloud.networks.get((project, name))
    if network is None:
        raise missing(interface["network"])
    subnetwork = interface.get("subnetwork")
    if subnetwork is None and not network.automatic:
        words = (
            "Invalid value for field 'resource.networkInterfaces[0].subnetwork': ''. Network "
            "interface must specify a subnet if the network resource is in custom subnet mode."
        )
        raise GoogleError(400, "invalid", words)
    region = f"/regions/{zone.rpartition('-')[0]}/"
    if subnetwork is not None and (
        subnetwork not in network.paths(project, name) or region not in subnetwork
    ):
        raise missing(subnetwork)


def _require_fit(scheduling: dict[str, Any], size: str, disk: str) -> None:
    """What goes together. Migration:
    https://docs.cloud.google.com/compute/docs/instances/setting-vm-host-options#limitations;
    disks: https://cloud.google.com/compute/docs/disks#disk-types"""
    series, spot = size.partition("-")[0], scheduling.get("provisioningModel") == "SPOT"
    migrate = scheduling["onHostMaintenance"] == "MIGRATE"
    if migrate and size in catalogue.ACCELERATORS:
        words = "Instances with guest accelerators do not support live migration."
        raise GoogleError(400, "badRequest", words)
    if migrate and series == "h4d":
        words = f"{size} does not support live migration."
        raise GoogleError(400, "badRequest", words)
    if series == "e2" and not spot and not migrate:
        words = "VMs of E2 machine types cannot terminate on host maintenance unless preemptible."
        raise GoogleError(400, "badRequest", words)
    if disk.startswith("pd-") is (series in NO_PERSISTENT_DISK):
        words = f"[{disk}] features are not compatible for creating instance."
        raise GoogleError(400, "badRequest", words)


def _require_scheduling(scheduling: dict[str, Any]) -> None:
    """https://cloud.google.com/compute/docs/instances/limit-vm-runtime and
    https://cloud.google.com/compute/docs/instances/create-use-spot"""
    spot = scheduling.get("provisioningModel") == "SPOT"
    if spot and (
        scheduling.get("automaticRestart") or scheduling["onHostMaintenance"] != "TERMINATE"
    ):
        raise _invalid("a spot instance neither restarts nor migrates")
    life = scheduling.get("maxRunDuration")
    if life and not SHORTEST_LIFE <= int(life["seconds"]) <= LONGEST_LIFE:
        raise _invalid(f"maxRunDuration {life}")
    if life and not scheduling.get("instanceTerminationAction"):
        raise _invalid("maxRunDuration needs an instanceTerminationAction")
    if scheduling.get("instanceTerminationAction") and not (spot or life):
        raise _invalid("instanceTerminationAction needs SPOT or a limit of the run time")


def _sold(cloud: Cloud) -> list[dict[str, Any]]:
    return catalogue.machine_types(cloud.project)


def _invalid(what: str) -> GoogleError:
    return GoogleError(400, "invalid", f"Invalid value for field 'resource': {what}.")
