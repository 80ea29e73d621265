"""Every Compute Engine method this provider can call: the list in docs/providers/gcp.md is held
to it, and so is Google's discovery document.

Permissions: https://cloud.google.com/compute/docs/reference/rest/v1, at each method.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API."""

    id: str
    """As in the discovery document."""
    verb: str
    path: str
    """Below `projects/PROJECT`."""
    permissions: tuple[str, ...] = ()
    """What an identity needs to call it as we do."""


class Action(Enum):
    """A method of the Compute Engine API."""

    BULK_INSERT = Method(
        "compute.instances.bulkInsert",
        "POST",
        "zones/{zone}/instances/bulkInsert",
        (
            "compute.disks.create",
            "compute.disks.setLabels",
            "compute.instances.create",
            "compute.instances.setLabels",
            "compute.instances.setMetadata",
            "compute.instances.setTags",
            "compute.subnetworks.use",
            "compute.subnetworks.useExternalIp",
        ),
    )
    DELETE_DISK = Method(
        "compute.disks.delete", "DELETE", "zones/{zone}/disks/{disk}", ("compute.disks.delete",)
    )
    DELETE_FIREWALL = Method(
        "compute.firewalls.delete",
        "DELETE",
        "global/firewalls/{firewall}",
        ("compute.firewalls.delete", "compute.networks.updatePolicy"),
    )
    DELETE_INSTANCE = Method(
        "compute.instances.delete",
        "DELETE",
        "zones/{zone}/instances/{instance}",
        ("compute.instances.delete",),
    )
    GET_FIREWALL = Method(
        "compute.firewalls.get",
        "GET",
        "global/firewalls/{firewall}",
        ("compute.firewalls.get",),
    )
    GET_IMAGE = Method(
        "compute.images.get",
        "GET",
        "global/images/{image}",
        ("compute.images.get", "compute.images.useReadOnly"),
    )
    GET_INSTANCE = Method(
        "compute.instances.get",
        "GET",
        "zones/{zone}/instances/{instance}",
        ("compute.instances.get",),
    )
    GET_NETWORK = Method(
        "compute.networks.get", "GET", "global/networks/{network}", ("compute.networks.get",)
    )
    GET_PROJECT = Method("compute.projects.get", "GET", "", ("compute.projects.get",))
    GET_REGION = Method("compute.regions.get", "GET", "regions/{region}", ("compute.regions.get",))
    GET_SERIAL_PORT_OUTPUT = Method(
        "compute.instances.getSerialPortOutput",
        "GET",
        "zones/{zone}/instances/{instance}/serialPort",
        ("compute.instances.getSerialPortOutput",),
    )
    INSERT_FIREWALL = Method(
        "compute.firewalls.insert",
        "POST",
        "global/firewalls",
        ("compute.firewalls.create", "compute.networks.updatePolicy"),
    )
    LIST_DISKS = Method(
        "compute.disks.aggregatedList", "GET", "aggregated/disks", ("compute.disks.list",)
    )
    LIST_FIREWALLS = Method(
        "compute.firewalls.list", "GET", "global/firewalls", ("compute.firewalls.list",)
    )
    LIST_IMAGES = Method("compute.images.list", "GET", "global/images", ("compute.images.list",))
    LIST_REGIONS = Method("compute.regions.list", "GET", "regions", ("compute.regions.list",))
    LIST_INSTANCES = Method(
        "compute.instances.aggregatedList",
        "GET",
        "aggregated/instances",
        ("compute.instances.list",),
    )
    LIST_MACHINE_TYPES = Method(
        "compute.machineTypes.aggregatedList",
        "GET",
        "aggregated/machineTypes",
        ("compute.machineTypes.list",),
    )
    LIST_OPERATIONS = Method(
        "compute.zoneOperations.list",
        "GET",
        "zones/{zone}/operations",
        ("compute.zoneOperations.list",),
    )
    PATCH_FIREWALL = Method(
        "compute.firewalls.patch",
        "PATCH",
        "global/firewalls/{firewall}",
        ("compute.firewalls.update", "compute.networks.updatePolicy"),
    )
    WAIT_GLOBAL_OPERATION = Method(
        "compute.globalOperations.wait",
        "POST",
        "global/operations/{operation}/wait",
        ("compute.globalOperations.get",),
    )
    WAIT_ZONE_OPERATION = Method(
        "compute.zoneOperations.wait",
        "POST",
        "zones/{zone}/operations/{operation}/wait",
        ("compute.zoneOperations.get",),
    )

    @property
    def id(self) -> str:
        """The method's id."""
        return self.value.id
