"""Faults of the Azure lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import cases_clouds
from tests.faults.case import Case, Family
from tests.faults.cases_clouds import INFRASTRUCTURE, LEAKED, Calls, tells
from tests.faults.cloud_testbeds import AzureTestbed, open_azure
from tests.faults.fault_script import cycle
from tests.faults.lab_testbed import LabTestbed
from tests.labs.azure.faults import QUOTA, SKU
from tests.labs.azure.handlers import GROUP
from tests.labs.clouds import AZURE

CALLS = Calls(
    open_azure,
    AzureTestbed,
    first="GET /subscriptions/{}",
    makes={
        "making the resource group": f"PUT {GROUP}",
        "making nodes": AZURE.create,
    },
    claims="",
    release=f"DELETE {GROUP}",
    things="GET /subscriptions/{}/resourcegroups",
    reads={
        "listing resource groups": "GET /subscriptions/{}/resourcegroups",
        "asking after a deployment": f"GET {GROUP}/providers/microsoft.resources/deployments/{{}}",
        "asking what machines do": (
            "GET /subscriptions/{}/providers/microsoft.compute/virtualmachines"
        ),
    },
    quick=(
        "kill -9 between making nodes and its answer",
        "one node in all, of two",
        "credentials end at ending nodes",
        "a short storm of throttling on making nodes",
    ),
)


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
    yield from _capacity()
    yield CALLS.case(
        Family.CREDENTIALS,
        "the client secret expires when nodes are listed",
        LEAKED,
        cycle(lambda one: one.once(one.cloud.listing, one.lab.revoke)),
    )
    yield CALLS.case(
        Family.INTERRUPTION,
        "a node is deallocated by its schedule while it boots",
        INFRASTRUCTURE,
        cycle(lambda one: one.once(one.cloud.listing, lambda: _power_off(one), 2)),
    )


def _capacity() -> Iterator[Case]:
    yield CALLS.case(
        Family.CAPACITY,
        "the size is not to be had, said at once",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(trouble=SKU, preflight=True)),
        also=tells("SkuNotAvailable"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "no capacity anywhere, said of each machine",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit()),
        also=tells("AllocationFailed"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "one node in all, of two",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(1)),
        also=tells("1 of 2 nodes could not be created"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "the quota of spot cores is used up",
        INFRASTRUCTURE,
        cycle(lambda one: one.lab.faults.limit(trouble=QUOTA, preflight=True)),
        also=tells("LowPriorityCores quota"),
    )


def _power_off(testbed: LabTestbed) -> None:
    testbed.lab.power(testbed.machines()[0], "deallocated")
