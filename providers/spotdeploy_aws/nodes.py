"""From EC2's instances to our nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from libcloud.compute.base import Node as LibcloudNode

from spotdeploy import labels as names
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
VISIBLE_SECONDS: Final = 300.0
"""How long after its making EC2 may not know an instance, by its id or by its tags: "up to five
minutes", and "your instance may still be running" after InvalidInstanceID.NotFound
(https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html)."""
NOT_GONE: Final = [name for name, state in STATES.items() if state is not NodeState.GONE]


class Nodes:
    """The instances of one region."""

    def __init__(
        self,
        driver: Ec2Driver,
        region: str,
        price_of: PriceOf,
        *,
        public: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Calls nothing. `public` chooses which address ssh dials; `clock` is in Unix seconds."""
        self._driver = driver
        self._region = region
        self._price_of = price_of
        self._public = public
        self._clock = clock
        self._expected: dict[str, tuple[Node, float]] = {}

    def with_labels(self, labels: Mapping[str, str]) -> list[Node]:
        """Those with all these labels that are not gone: one call for each thousand. Those that
        are `expected` and not listed yet are among them.

        Raises ValueError for empty labels.
        """
        criteria = {**tag_filters(labels), "instance-state-name": NOT_GONE}
        nodes = map(self.of, self._driver.list_nodes(ex_filters=criteria))
        listed = [node for node in nodes if matches(node.labels, labels)]
        ids = {node.id for node in listed}
        return [*listed, *(node for node in self._unlisted(labels) if node.id not in ids)]

    def expect(self, nodes: Iterable[Node]) -> None:
        """Take these as being there until EC2 ends them, or for `VISIBLE_SECONDS` after their
        making: until then it may not know them, and that it does not is no proof that they are
        gone. One whose making is long ago, or unknown, is not expected."""
        now = self._clock()
        for node in nodes:
            until = min(node.created_at or 0.0, now) + VISIBLE_SECONDS
            if now < until and node.id not in self._expected:
                hidden = msgspec.structs.replace(
                    node, state=NodeState.PENDING, cloud_state="not visible yet"
                )
                self._expected[node.id] = hidden, until

    def ended(self, ids: Iterable[str]) -> None:
        """EC2 knows these, and ends them."""
        for id_ in ids:
            self._expected.pop(id_, None)

    def _unlisted(self, labels: Mapping[str, str]) -> list[Node]:
        now = self._clock()
        self._expected = {id_: kept for id_, kept in self._expected.items() if now < kept[1]}
        return [node for node, _ in self._expected.values() if _may_carry(node, labels)]

    def of(self, found: LibcloudNode) -> Node:
        """Our node for one of libcloud's."""
        return from_ec2(found, self._region, self._price_of, public=self._public)


def _may_carry(node: Node, labels: Mapping[str, str]) -> bool:
    """One that only the journal knows comes without labels: it is of the caller's deployment, but
    of no batch that anyone asks for by name."""
    return matches(node.labels, labels) if node.labels else names.BATCH not in labels


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
