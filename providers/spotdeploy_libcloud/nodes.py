"""From libcloud's nodes to ours. The one place where libcloud's untyped data come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from spotdeploy.model import Market, Node, NodeState

PriceOf: TypeAlias = Callable[[Market, str | None, str | None], float | None]
"""USD per hour in a market, a zone and a size, or None when unknown."""


def to_node(
    found: Any,
    *,
    provider: str,
    location: str,
    states: Mapping[str, NodeState],
    cloud_state: str,
    labels: Mapping[str, str],
    market: Market,
    zone: str | None = None,
    size: str | None = None,
    public: bool = True,
    usd_per_hour: float | None = None,
) -> Node:
    """Our node for a `libcloud.compute.base.Node`.

    `states` maps the cloud's own names for a state to ours; a name it lacks is taken as RUNNING,
    since a machine whose state we cannot read may well be billed. `public` chooses which address
    ssh dials. `usd_per_hour` is None when unknown.
    """
    public_address = _first(found.public_ips)
    private_address = _first(found.private_ips)
    return Node(
        id=found.id,
        name=found.name or found.id,
        provider=provider,
        location=location,
        state=states.get(cloud_state, NodeState.RUNNING),
        labels=dict(labels),
        zone=zone,
        size=size,
        market=market,
        address=public_address if public else private_address,
        private_address=private_address,
        created_at=found.created_at.timestamp() if found.created_at else None,
        usd_per_hour=usd_per_hour,
        cloud_state=cloud_state,
    )


def _first(addresses: Any) -> str | None:
    return next((str(address) for address in addresses if address), None)
