"""What a node costs: its instance, its volume and its public address."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Market
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import PAGE, Api
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.parallel import together
from spotdeploy_aws.schemas import Parameters, text

ADDRESS: Final = 0.005
"""USD per hour of a public IPv4 address in use, in every region: https://aws.amazon.com/vpc/pricing/"""
GP3_MONTH: Final = 0.10
"""USD per GB and month of a gp3 volume where the Price List does not say: between the 0.08 of most
regions of the USA and the 0.152 of the dearest, https://aws.amazon.com/ebs/pricing/"""
HOURS: Final = 730
"""Of a month, as AWS counts them."""
LINUX: Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
"""What tells the price of a plain instance from the other prices of its size."""


def price_list_region(region: str) -> str | None:
    """The region whose endpoint of the Price List API answers for a region's partition, near by;
    None for a partition that has none: https://docs.aws.amazon.com/general/latest/gr/billing.html
    """
    if region.startswith("cn-"):
        return "cn-northwest-1"
    if region.startswith(("us-gov-", "us-iso", "eu-iso", "eusc-")):
        return None
    near = {"eu-": "eu-central-1", "ap-": "ap-south-1"}
    return near.get(region[:3], "us-east-1")


class Prices:
    """The prices of one region, as far as they were asked for."""

    def __init__(self, api: Api, price_list: Api | None, config: AwsConfig) -> None:
        """Calls nothing. `price_list` is in a region that answers for this one."""
        self._api = api
        self._price_list = price_list
        self._public = config.address == "public"
        self._gb = config.root_volume_gb
        self._gp3 = GP3_MONTH
        self._spot: dict[tuple[str, str], float] = {}
        self._on_demand: dict[str, float] = {}

    def refresh(self, sizes: Sequence[str], markets: Collection[Market]) -> None:
        """Ask for the prices of these sizes in these markets, and of volumes: a paginated call for
        each, all at the same time."""
        asks: list[Callable[[], None]] = [self._ask_for_volumes]
        if Market.SPOT in markets:
            asks.append(lambda: self._ask_for_spot(sizes))
        if Market.ON_DEMAND in markets:
            asks.append(lambda: self._ask_for_on_demand(sizes))
        together(asks)

    @property
    def besides(self) -> float:
        """USD per hour for what a node has besides its instance."""
        return (ADDRESS if self._public else 0.0) + self._gb * self._gp3 / HOURS

    def of(self, market: Market, zone: str | None, size: str | None) -> float | None:
        """USD per hour for one node, with all that it has, or None when its instance's price is
        unknown. Calls nothing."""
        if zone is None or size is None:
            return None
        spot = market is Market.SPOT
        found = self._spot.get((zone, size)) if spot else self._on_demand.get(size)
        return found + self.besides if found else None

    def _ask_for_spot(self, sizes: Sequence[str]) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html:
        a StartTime of now gives the prices in force, in every zone."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        parameters: Parameters = {
            "InstanceTypes": list(sizes),
            "ProductDescriptions": ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"],
            "StartTime": now,
            "MaxResults": PAGE,
        }
        found = self._api.pages(Action.DESCRIBE_SPOT_PRICE_HISTORY, parameters)
        for item in sorted(found, key=lambda item: text(item, "Timestamp")):
            place = text(item, "AvailabilityZone"), text(item, "InstanceType")
            self._spot[place] = float(item["SpotPrice"])

    def _ask_for_on_demand(self, sizes: Sequence[str]) -> None:
        facts = {**LINUX, "marketoption": "OnDemand"}
        self._on_demand |= dict(self._listed("instanceType", facts, {"instanceType": sizes}))

    def _ask_for_volumes(self) -> None:
        for _, usd in self._listed("volumeApiName", {"volumeApiName": "gp3"}, {}):
            self._gp3 = usd

    def _listed(
        self, name: str, facts: Mapping[str, str], any_of: Mapping[str, Sequence[str]]
    ) -> Iterator[tuple[str, float]]:
        """The attribute `name` and the price in USD of each product of EC2 in this region.

        Nothing where the list may not be asked or does not answer: a price is worth no failure.
        https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
        """
        if self._price_list is None:
            return
        exact = {**facts, "regionCode": self._api.region}
        filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in exact.items()]
        filters += [
            {"Type": "ANY_OF", "Field": key, "Value": ",".join(values)}
            for key, values in any_of.items()
        ]
        question: Parameters = {"ServiceCode": "AmazonEC2", "Filters": filters}
        try:
            found = self._price_list.pages(Action.GET_PRODUCTS, question)
        except ProviderError:
            return
        for product in map(json.loads, map(str, found)):
            for usd in _prices(product):
                yield product["product"]["attributes"].get(name, ""), usd


def _prices(product: Mapping[str, Any]) -> Iterator[float]:
    """Prices on demand, in USD: not those in other currencies, and not 0, which is capacity that is
    paid for elsewhere."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            usd = float(dimension["pricePerUnit"].get("USD", 0))
            if usd:
                yield usd
