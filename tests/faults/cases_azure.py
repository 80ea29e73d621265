"""Faults of the Azure lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import cases_clouds
from tests.faults.case import Case
from tests.faults.cases_clouds import Calls
from tests.faults.labs import GROUP, AzureArena, open_azure

CALLS = Calls(
    open_azure, AzureArena,
    first="GET /subscriptions/{}/providers/microsoft.compute/skus",
    makes={
        "making the resource group": f"PUT {GROUP}",
        "making nodes": AzureArena.create,
    },
    release=f"DELETE {GROUP}",
    things="GET /subscriptions/{}/resourcegroups",
    reads={
        "finding sizes": "GET /subscriptions/{}/providers/microsoft.compute/skus",
        "listing resource groups": "GET /subscriptions/{}/resourcegroups",
        "asking after a deployment":
            f"GET {GROUP}/providers/microsoft.resources/deployments/{{}}",
        "asking what machines do": "GET /subscriptions/{}/providers/microsoft.compute/virtualmachines",
    },
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
