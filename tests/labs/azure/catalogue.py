"""What the lab's Azure sells, and what the caller may do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.labs.azure.call import Json

LOCATIONS = {"eastus": "East US", "westeurope": "West Europe"}
SPOT = {"Standard_D2as_v5": "x64", "Standard_D2s_v5": "x64", "Standard_D2ps_v5": "Arm64"}
"""Sizes that can be had as Spot, with their architectures."""
REGULAR_ONLY = "Standard_B2s"
OLD = "Standard_A2_v2"
"""A size that boots images of the first generation only."""
FIRST_GENERATION = ("gen1", "22_04-lts", "13")
"""How the skus of images of the first generation end, or what they are."""
CLOSED = "Standard_M128s"
"""A size that this subscription may not have."""
PRICES = {"Standard_D2as_v5": (0.086, 0.0172), "Standard_D2s_v5": (0.096, 0.0115)}
"""Size to USD per hour, regular and Spot."""
OFFERS = (
    "0001-com-ubuntu-server-jammy",
    "ubuntu-22_04-lts",
    "ubuntu-24_04-lts",
    "ubuntu-25_04",
    "ubuntu-27_04-lts",
    "ubuntu-24_04-lts-daily",
)


BEFORE = ("2021-11-01T00:00:00Z", None)
OVER = ("2025-01-01T00:00:00Z", "2025-06-01T00:00:00Z")
LATER = ("2150-01-01T00:00:00Z", None)
"""Times in which prices hold that no longer, or not yet, do."""


def skus(location: str) -> list[Json]:
    """https://learn.microsoft.com/en-us/rest/api/compute/resource-skus/list"""
    machines = [_sku(name, location, "True", kind) for name, kind in SPOT.items()]
    machines.append(_sku(REGULAR_ONLY, location, "False", "x64"))
    machines.append(_sku(OLD, location, "True", "x64"))
    closed = _sku(CLOSED, location, "True", "x64")
    closed["restrictions"] = [
        {
            "type": "Location",
            "values": [location],
            "restrictionInfo": {"locations": [location]},
            "reasonCode": "NotAvailableForSubscription",
        }
    ]
    disk = {
        "resourceType": "disks",
        "name": "Premium_LRS",
        "locations": [location],
        "restrictions": [],
    }
    return [disk, *machines, closed]


def offers(location: str) -> list[Json]:
    """What Canonical offers."""
    return [{"name": name, "location": location, "id": f"/offers/{name}"} for name in OFFERS]


def usages(spot_limit: int, families: Mapping[str, int]) -> list[Json]:
    """Quotas. `families` has the limits of those of families of sizes."""
    cores = ("cores", "Total Regional vCPUs", 4, 100)
    spot = ("lowPriorityCores", "Total Regional Spot vCPUs", 2, spot_limit)
    return [
        {
            "unit": "Count",
            "currentValue": used,
            "limit": limit,
            "name": {"value": value, "localizedValue": words},
        }
        for value, words, used, limit in (
            cores,
            spot,
            *((name, f"{name} vCPUs", 0, limit) for name, limit in families.items()),
        )
    ]


def provider(namespace: str, state: str, subscription: str) -> Json:
    """A resource provider, and whether the subscription is registered with it."""
    kind = "schedules" if namespace == "Microsoft.DevTestLab" else "operations"
    return {
        "id": f"/subscriptions/{subscription}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {
                "resourceType": kind,
                "locations": list(LOCATIONS.values()),
                "apiVersions": ["2018-09-15"],
            }
        ],
    }


def prices(location: str, link: str, skip: int) -> Json:
    """https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices:
    a page from `skip` on. `link` is the call's own URL."""
    items = []
    for size, (regular, spot) in PRICES.items():
        words = size.removeprefix("Standard_").replace("_", " ")
        linux, windows = "Virtual Machines Dasv5 Series", "Virtual Machines Dasv5 Series Windows"
        items += [
            _price(location, size, words, linux, regular),
            _price(location, size, f"{words} Spot", linux, spot),
            _price(location, size, f"{words} Low Priority", linux, spot / 2),
            _price(location, size, words, windows, regular * 2),
            _price(location, size, words, "Dasv5 Series Cloud Services", regular * 3),
            _price(location, size, words, linux, regular * 4, OVER),
            _price(location, size, words, linux, regular / 2, BEFORE),
            _price(location, size, words, linux, regular * 5, LATER),
        ]
    items.append(_price(location, "Standard_D2ps_v5", "D2ps v5", "Virtual Machines Dpsv5", 0.0))
    return {
        "BillingCurrency": "USD",
        "CustomerEntityId": "Default",
        "CustomerEntityType": "Retail",
        "Items": items[skip : skip + 1],
        "NextPageLink": f"{link}&$skip={skip + 1}" if skip + 1 < len(items) else None,
        "Count": 1,
    }


def _sku(name: str, location: str, spot: str, architecture: str) -> Json:
    facts = {
        "vCPUs": "2",
        "MemoryGB": "8",
        "LowPriorityCapable": spot,
        "CpuArchitectureType": architecture,
        "HyperVGenerations": "V1" if name == OLD else "V1,V2",
    }
    return {
        "resourceType": "virtualMachines",
        "name": name,
        "tier": "Standard",
        "size": name.removeprefix("Standard_"),
        "family": _family(name),
        "locations": [location],
        "locationInfo": [{"location": location, "zones": ["1", "2", "3"], "zoneDetails": []}],
        "capabilities": [{"name": key, "value": value} for key, value in facts.items()],
        "restrictions": [],
    }


def _family(size: str) -> str:
    """Standard_D2as_v5 is of standardDASv5Family."""
    letters, _, version = re.sub(r"\d+", "", size.removeprefix("Standard_"), count=1).partition("_")
    return f"standard{letters.upper()}{version}Family"


def _price(
    location: str,
    size: str,
    words: str,
    product: str,
    usd: float,
    times: tuple[str, str | None] = ("2024-08-01T00:00:00Z", None),
) -> Json:
    ends = {"effectiveEndDate": times[1]} if times[1] else {}
    return {
        "effectiveStartDate": times[0],
        **ends,
        "currencyCode": "USD",
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": location,
        "productName": product,
        "skuName": words,
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "armSkuName": size,
    }
