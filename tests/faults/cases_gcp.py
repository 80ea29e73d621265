"""Faults of the GCP lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import cases_clouds
from tests.faults.case import Case
from tests.faults.cases_clouds import Calls
from tests.faults.labs import GcpArena, open_gcp

CALLS = Calls(
    open_gcp, GcpArena,
    first="compute.regions.get",
    makes={
        "making firewall rules": "compute.firewalls.insert",
        "making nodes": "compute.instances.bulkInsert",
    },
    release="compute.firewalls.delete",
    things="compute.disks.aggregatedList",
    reads={
        "finding zones": "compute.regions.get",
        "finding sizes": "compute.machineTypes.aggregatedList",
        "finding the image": "compute.images.list",
        "waiting for an operation": "compute.zoneOperations.wait",
    },
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
