"""From Compute Engine's instances to our nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from spotdeploy import labels as names
from spotdeploy.model import Market, Node, NodeState
from spotdeploy_gcp.schemas import last
from spotdeploy_libcloud.nodes import to_node

STATES: Final = {
    "PENDING": NodeState.PENDING,
    "PROVISIONING": NodeState.PENDING,
    "STAGING": NodeState.PENDING,
    "RUNNING": NodeState.RUNNING,
    "PENDING_STOP": NodeState.STOPPED,
    "REPAIRING": NodeState.STOPPED,
    "STOPPED": NodeState.STOPPED,
    "SUSPENDED": NodeState.STOPPED,
    "SUSPENDING": NodeState.STOPPED,
    "TERMINATED": NodeState.STOPPED,
    "DEPROVISIONING": NodeState.GOING,
    "STOPPING": NodeState.GOING,
}
"""https://cloud.google.com/compute/docs/instances/instance-lifecycle. TERMINATED is not gone: the
instance can be started again, and its disk is billed."""
_ID: Final = re.compile(r"([a-z]+-[a-z]+\d+-[a-z])/([a-z][a-z0-9-]{0,62})")

PriceOf = Callable[[Market, str | None, str | None], float | None]


def node_id(zone: str, name: str) -> str:
    """Our id for an instance: names are unique within a zone only."""
    return f"{zone}/{name}"


def split_id(id_: str) -> tuple[str, str] | None:
    """The zone and name of an id; None when no instance can have it."""
    found = _ID.fullmatch(id_)
    return (found[1], found[2]) if found else None


def label_filter(labels: Mapping[str, str]) -> str:
    """What selects things with all these labels in a listing. `:*` asks for the key alone:
    https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList"""
    return " ".join(
        f"(labels.{key}:*)" if value == names.ANY else f'(labels.{key} = "{value}")'
        for key, value in labels.items()
    )


def from_gce(found: Any, location: str, price_of: PriceOf, *, public: bool) -> Node:
    """Our node for one of libcloud's."""
    extra = found.extra
    zone = extra["zone"].name
    size = last(extra["machineType"])
    spot = extra["scheduling"].get("provisioningModel") == "SPOT"
    market = Market.SPOT if spot or extra["scheduling"].get("preemptible") else Market.ON_DEMAND
    found.id = node_id(zone, found.name)
    found.created_at = datetime.fromisoformat(extra["creationTimestamp"])
    return to_node(
        found,
        provider="gcp",
        location=location,
        states=STATES,
        cloud_state=extra["status"],
        labels=extra["labels"] or {},
        zone=zone,
        size=size,
        market=market,
        public=public,
        usd_per_hour=price_of(market, zone, size),
    )
