"""What a node costs: spot prices of the moment, list prices from libcloud's table."""

from __future__ import annotations

import time
from collections.abc import Sequence

from spotdeploy.model import Market
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import PAGE, Ec2Driver
from spotdeploy_aws.query import Parameters, text
from spotdeploy_libcloud.prices import list_price


class Prices:
    """The prices of one region, as far as they were asked for."""

    def __init__(self, driver: Ec2Driver) -> None:
        """Calls nothing."""
        self._driver = driver
        self._spot: dict[tuple[str, str], float] = {}

    def refresh(self, sizes: Sequence[str]) -> None:
        """Ask for the spot prices of these sizes in every zone: one paginated call.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html:
        a StartTime of now gives the prices in force.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        parameters: Parameters = {
            "InstanceType": list(sizes),
            "ProductDescription": ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"],
            "StartTime": now,
            "MaxResults": PAGE,
        }
        found = self._driver.pages(
            Action.DESCRIBE_SPOT_PRICE_HISTORY, "spotPriceHistorySet", parameters
        )
        for item in sorted(found, key=lambda item: text(item, "timestamp")):
            place = text(item, "availabilityZone"), text(item, "instanceType")
            self._spot[place] = float(text(item, "spotPrice"))

    def of(self, market: Market, zone: str | None, size: str | None) -> float | None:
        """USD per hour for one node, or None when unknown. Calls nothing."""
        if zone is None or size is None:
            return None
        if market is Market.SPOT:
            return self._spot.get((zone, size)) or None
        return list_price("ec2_linux", size, self._driver.region_name)
