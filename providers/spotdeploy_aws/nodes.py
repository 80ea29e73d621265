"""From EC2's instances to our nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from spotdeploy.model import Market, Node, NodeState
from spotdeploy_libcloud.nodes import to_node

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
NOT_GONE: Final = [word for word, state in STATES.items() if state is not NodeState.GONE]

PriceOf = Callable[[Market, str | None, str | None], float | None]


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
