"""Policies of an organization, as Compute Engine enforces them.

https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.labs.gcp.call import GoogleError
from tests.labs.gcp.faults import Trouble

if TYPE_CHECKING:
    from tests.labs.gcp.cloud import Cloud

NUMBER = "123456789012"


def require(cloud: Cloud, zone: str, properties: dict[str, Any]) -> None:
    """Refuse what is known to be against a policy before anything is tried."""
    shielded = properties.get("shieldedInstanceConfig", {})
    image = properties["disks"][0]["initializeParams"]["sourceImage"]
    metadata = {one["key"]: one["value"] for one in properties.get("metadata", {}).get("items", [])}
    region = zone.rpartition("-")[0]
    broken = {
        "compute.requireShieldedVm": not shielded.get("enableSecureBoot"),
        "compute.requireOsLogin": metadata.get("enable-oslogin") == "FALSE",
        "compute.trustedImageProjects": not _allows(
            cloud, "compute.trustedImageProjects", image.split("/projects/")[1].split("/")[0]
        ),
    }
    for constraint, is_broken in broken.items():
        if constraint in cloud.policies and is_broken:
            words = f"Constraint constraints/{constraint} violated for project {NUMBER}."
            raise GoogleError(412, "conditionNotMet", words)
    where = "gcp.resourceLocations"
    if where in cloud.policies and not _allows(cloud, where, region):
        words = f"Location {zone} violates constraint constraints/{where} on the resource"
        raise GoogleError(412, "conditionNotMet", f"{words} projects/{cloud.project}/zones/{zone}.")


def late(cloud: Cloud, properties: dict[str, Any]) -> Trouble | None:
    """What only the instances of a bulk insert trip over."""
    public = properties["networkInterfaces"][0].get("accessConfigs")
    if "compute.vmExternalIpAccess" not in cloud.policies or not public:
        return None
    words = "Constraint constraints/compute.vmExternalIpAccess violated for project"
    return Trouble("CONDITION_NOT_MET", f"{words} {NUMBER}.")


def _allows(cloud: Cloud, constraint: str, value: str) -> bool:
    return value in cloud.policies.get(constraint, frozenset())
