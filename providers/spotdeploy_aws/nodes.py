"""From EC2's instances to our nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from libcloud.compute.base import Node as LibcloudNode

from spotdeploy.labels import matches
from spotdeploy.model import Market, Node, NodeState
from spotdeploy_aws.api import Ec2Driver, tag_filters
from spotdeploy_libcloud.nodes import PriceOf, to_node

STATES: Final = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopping": NodeState.STOPPED,
    "stopped": NodeState.STOPPED,
    "shutting-down": NodeState.GOING,
    "terminated": NodeState.GONE,
}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html, read raw:
libcloud knows neither `shutting-down` nor `stopping`."""
NOT_GONE: Final = [name for name, state in STATES.items() if state is not NodeState.GONE]


class Nodes:
    """The instances of one region."""

    def __init__(self, driver: Ec2Driver, region: str, price_of: PriceOf, *, public: bool) -> None:
        """Calls nothing. `public` chooses which address ssh dials."""
        self._driver = driver
        self._region = region
        self._price_of = price_of
        self._public = public

    def with_labels(self, labels: Mapping[str, str]) -> list[Node]:
        """Those with all these labels that are not gone: one call for each thousand.

        Raises ValueError for empty labels.
        """
        criteria = {**tag_filters(labels), "instance-state-name": NOT_GONE}
        nodes = map(self.of, self._driver.list_nodes(ex_filters=criteria))
        return [node for node in nodes if matches(node.labels, labels)]

    def of(self, found: LibcloudNode) -> Node:
        """Our node for one of libcloud's."""
        return from_ec2(found, self._region, self._price_of, public=self._public)


def from_ec2(found: Any, location: str, price_of: PriceOf, *, public: bool) -> Node:
    """Our node for one of libcloud's. An instance has no name of its own that is unique: its id
    is what AWS's users look for."""
    extra = found.extra
    market = Market.SPOT if extra["instance_lifecycle"] == "spot" else Market.ON_DEMAND
    found.name = found.id
    return to_node(
        found,
        provider="aws",
        location=location,
        states=STATES,
        cloud_state=extra["status"],
        labels=extra["tags"],
        zone=extra["availability"],
        size=extra["instance_type"],
        market=market,
        public=public,
        usd_per_hour=price_of(market, extra["availability"], extra["instance_type"]),
    )
