"""The Price List Query API: what on-demand instances, volumes and addresses cost.

A product is as the price list files have it:
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
but a JSON text of its own inside the answer. As in the real list, a size has many products that are
none of ours (other systems, tenancies, reserved capacity, at 0.00), so that only a question that
names all of it gets one answer. The prices are samples; nobody keeps them up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product as every
from typing import Any, Final

from tests.labs.aws.call import AwsError, Call, Reply, document

ENDPOINTS: Final = ("us-east-1", "eu-central-1", "ap-south-1", "cn-northwest-1")
"""https://docs.aws.amazon.com/general/latest/gr/billing.html: no other region answers."""
LOCATIONS: Final = {
    "us-east-1": ("US East (N. Virginia)", "USE1"),
    "us-west-2": ("US West (Oregon)", "USW2"),
    "eu-west-1": ("EU (Ireland)", "EU"),
    "cn-north-1": ("China (Beijing)", "CNN1"),
}
HOURLY: Final = {
    ("us-west-2", "t3.small"): 0.0208,
    ("us-west-2", "t3a.small"): 0.0188,
    ("us-west-2", "t4g.small"): 0.0168,
    ("us-west-2", "c5.large"): 0.085,
    ("us-west-2", "m5.large"): 0.096,
    ("eu-west-1", "t3.small"): 0.0228,
    ("eu-west-1", "t3a.small"): 0.0204,
}
MONTHLY: Final = {"us-west-2": 0.08, "eu-west-1": 0.088}
"""USD for a GB of gp3."""
ADDRESS: Final = 0.005
"""USD per hour: https://aws.amazon.com/vpc/pricing/"""
OPERATIONS: Final = {
    "Linux": "RunInstances",
    "Windows": "RunInstances:0002",
    "RHEL": "RunInstances:0010",
}
Matches = Callable[[str, str], bool]
_MATCHES: Final[Mapping[str, Matches]] = {
    "TERM_MATCH": lambda value, wanted: value.lower() == wanted.lower(),
    "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value,
    "ANY_OF": lambda value, wanted: value in wanted.split(","),
    "NONE_OF": lambda value, wanted: value not in wanted.split(","),
}
"""https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_Filter.html"""


@dataclass
class PriceList:
    """What is for sale."""

    hourly: dict[tuple[str, str], float] = field(default_factory=lambda: dict(HOURLY))
    """(region, size) to USD per hour, on demand, of a Linux instance; CNY in China."""

    def get_products(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html"""
        asked = call.document
        found = [one for one in self._products(asked["ServiceCode"]) if _wanted(one, asked)]
        start, size = int(asked.get("NextToken", 0)), int(asked.get("MaxResults", 100))
        page = {
            "FormatVersion": "aws_v1",
            "PriceList": list(map(json.dumps, found[start : start + size])),
        }
        if start + size < len(found):
            page["NextToken"] = str(start + size)
        return document(page)

    def _products(self, service: str) -> Iterator[dict[str, Any]]:
        if service == "AmazonEC2":
            for (region, size), price in self.hourly.items():
                yield from _instances(region, size, price)
            for region, price in MONTHLY.items():
                yield _volume(region, price)
        elif service == "AmazonVPC":
            for region in MONTHLY:
                yield _address(region)
        else:
            raise AwsError("NotFoundException", f"The service {service} is not known")


def _instances(region: str, size: str, price: float) -> Iterator[dict[str, Any]]:
    """A size as all that it is sold as."""
    tenancies = {"Shared": "BoxUsage", "Dedicated": "DedicatedUsage"}
    capacities = {
        "Used": "",
        "UnusedCapacityReservation": "Unused",
        "AllocatedCapacityReservation": "Reservation",
    }
    for system, tenancy, capacity in every(OPERATIONS, tenancies, capacities):
        usage = f"{capacities[capacity]}{tenancies[tenancy]}:{size}"
        attributes = {
            "instanceType": size,
            "instanceFamily": "General purpose",
            "currentGeneration": "Yes",
            "operatingSystem": system,
            "licenseModel": "No License required",
            "preInstalledSw": "NA",
            "tenancy": tenancy,
            "capacitystatus": capacity,
            "marketoption": "OnDemand",
            "operation": OPERATIONS[system],
        }
        asked = (
            price * (1 + list(OPERATIONS).index(system)) * (1.1 if tenancy == "Dedicated" else 1)
        )
        if capacity == "AllocatedCapacityReservation":
            asked = 0.0
        words = f"per {tenancy} {system} {size} Instance Hour"
        yield _product(
            "AmazonEC2", "Compute Instance", region, usage, attributes, asked, "Hrs", words
        )


def _volume(region: str, price: float) -> dict[str, Any]:
    attributes = {
        "volumeApiName": "gp3",
        "volumeType": "General Purpose",
        "storageMedia": "SSD-backed",
        "operation": "",
    }
    words = "per GB-month of General Purpose (gp3) provisioned storage"
    return _product(
        "AmazonEC2", "Storage", region, "EBS:VolumeUsage.gp3", attributes, price, "GB-Mo", words
    )


def _address(region: str) -> dict[str, Any]:
    attributes = {
        "group": "VPCPublicIPv4Address",
        "groupDescription": "Hourly charge for In-use Public IPv4 Addresses",
        "operation": "",
    }
    words = "per In-use public IPv4 address per hour"
    return _product(
        "AmazonVPC", "VPC", region, "PublicIPv4:InUseAddress", attributes, ADDRESS, "Hrs", words
    )


def _product(
    service: str,
    family: str,
    region: str,
    usage: str,
    attributes: Mapping[str, str],
    price: float,
    unit: str,
    words: str,
) -> dict[str, Any]:
    location, short = LOCATIONS[region]
    currency = "CNY" if region.startswith("cn-") else "USD"
    sku = sha256(f"{region} {usage} {sorted(attributes.items())}".encode()).hexdigest()[:16].upper()
    term = f"{sku}.JRTCKXETXF"
    rate = f"{term}.6YS6EN2CT7"
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${price:g} {words}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {currency: f"{price:.10f}"},
    }
    offer = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    facts = {
        "servicecode": service,
        "servicename": "Amazon Elastic Compute Cloud",
        "regionCode": region,
        "location": location,
        "locationType": "AWS Region",
        "usagetype": f"{short}-{usage}",
        **attributes,
    }
    return {
        "product": {"productFamily": family, "attributes": facts, "sku": sku},
        "serviceCode": service,
        "terms": {"OnDemand": {term: offer}},
        "version": "20261120000000",
        "publicationDate": "2026-11-20T00:00:00Z",
    }


def _wanted(product: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """True when every filter lets it through."""
    attributes = product["product"]["attributes"]
    facts = {**attributes, "productFamily": product["product"]["productFamily"]}
    facts["ServiceCode"] = product["serviceCode"]
    filters: Sequence[Mapping[str, str]] = asked.get("Filters", ())
    return all(
        one["Field"] in facts and _MATCHES[one["Type"]](facts[one["Field"]], one["Value"])
        for one in filters
    )
