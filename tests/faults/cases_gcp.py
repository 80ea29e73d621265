"""Faults of the GCP lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import cases_clouds
from tests.faults.case import Case, Family
from tests.faults.cases_clouds import INFRASTRUCTURE, LEAKED, Calls, tells
from tests.faults.cloud_testbeds import GcpTestbed, open_gcp
from tests.faults.fault_script import cycle, impatient
from tests.faults.lab_testbed import LabTestbed
from tests.labs.gcp.faults import QUOTA, Trouble

CALLS = Calls(
    open_gcp,
    GcpTestbed,
    first="compute.projects.get",
    makes={
        "making firewall rules": "compute.firewalls.insert",
        "making nodes": "compute.instances.bulkInsert",
    },
    claims="compute.firewalls.insert",
    release="compute.firewalls.delete",
    things="compute.disks.aggregatedList",
    reads={
        "finding sizes": "compute.machineTypes.aggregatedList",
        "finding the image": "compute.images.list",
        "waiting for an operation": "compute.zoneOperations.wait",
    },
    quick=(
        "the reply of making nodes is lost",
        "a machine is protected against deletion",
        "a node is interrupted while it boots",
        "a partial fill, the rest elsewhere",
    ),
)


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
    yield from _capacity()
    yield CALLS.case(
        Family.CREDENTIALS,
        "every token is revoked when nodes are listed",
        LEAKED,
        cycle(lambda one: one.once(one.cloud.listing, one.lab.revoke)),
    )
    yield CALLS.case(
        Family.LISTINGS,
        "a zone with a node in it cannot be asked",
        LEAKED,
        cycle(impatient, _silent_zone),
    )
    yield CALLS.case(
        Family.REPLIES,
        "making nodes begins, and its operation fails",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.operations.update({one.cloud.create: [FAILED]})),
    )
    yield CALLS.case(
        Family.INTERRUPTION,
        "a node is stopped by somebody while it boots",
        INFRASTRUCTURE,
        cycle(
            lambda one: one.once(one.cloud.listing, lambda: one.lab.power_off(one.machines()[0]), 2)
        ),
    )


FAILED = Trouble("INTERNAL_ERROR", "Internal error. Please try again or contact Google Support.")


def _capacity() -> Iterator[Case]:
    yield CALLS.case(
        Family.CAPACITY,
        "no capacity in the first zone",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(zone="us-central1-a")),
        also=tells("us-central1-b e2-small spot: "),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "no capacity anywhere",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit()),
        also=tells("ZONE_RESOURCE_POOL_EXHAUSTED"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "a partial fill, the rest elsewhere",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(1, zone="us-central1-a")),
        also=tells("2 of 2 nodes"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "the quota of CPUs is used up",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(trouble=QUOTA)),
        also=tells("Quota 'CPUS' exceeded"),
    )


def _silent_zone(testbed: LabTestbed) -> None:
    zone = "us-central1-a"
    testbed.first_machine(lambda _: testbed.lab.faults.unreachable.add(zone))
