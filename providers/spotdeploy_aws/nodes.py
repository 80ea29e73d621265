"""From EC2's instances to our nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from spotdeploy import labels as names
from spotdeploy.model import Market, Node, NodeState
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import PAGE, Api, tag_filters
from spotdeploy_aws.schemas import Parameters, Record, filters, tags, text

STATES: Final = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopping": NodeState.STOPPED,
    "stopped": NodeState.STOPPED,
    "shutting-down": NodeState.GOING,
    "terminated": NodeState.GONE,
}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html"""
VISIBLE_SECONDS: Final = 300.0
"""How long after its making EC2 may not know an instance, by its id or by its tags: "up to five
minutes", and "your instance may still be running" after InvalidInstanceID.NotFound
(https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html)."""
NOT_GONE: Final = [name for name, state in STATES.items() if state is not NodeState.GONE]

PriceOf: TypeAlias = Callable[[Market, str | None, str | None], float | None]
"""USD per hour in a market, a zone and a size, or None when unknown."""


class Nodes:
    """The instances of one region."""

    def __init__(
        self,
        api: Api,
        price_of: PriceOf,
        *,
        public: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Calls nothing. `public` chooses which address ssh dials; `clock` is in Unix seconds."""
        self._api = api
        self._price_of = price_of
        self._public = public
        self._clock = clock
        self._expected: dict[str, tuple[Node, float]] = {}

    def with_labels(self, labels: Mapping[str, str]) -> list[Node]:
        """Those with all these labels that are not gone: one call for each thousand. Those that
        are `expected` and not listed yet are among them, whatever their labels."""
        criteria = {**tag_filters(labels), "instance-state-name": NOT_GONE}
        listed = [self.of(found) for found in find(self._api, criteria=criteria)]
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
        return [_labelled(node, labels) for node, _ in self._expected.values()]

    def of(self, found: Record) -> Node:
        """Our node for one of EC2's instances."""
        return from_ec2(found, self._api.region, self._price_of, public=self._public)


def find(
    api: Api,
    *,
    ids: Sequence[str] | None = None,
    criteria: Mapping[str, Sequence[str]] | None = None,
) -> list[Record]:
    """The instances with these ids, or those that match the filters, from all pages."""
    parameters: Parameters = {"Filters": filters(criteria or {}), "MaxResults": PAGE}
    if ids is not None:
        parameters = {"InstanceIds": list(ids)}
    reservations = api.pages(Action.DESCRIBE_INSTANCES, parameters)
    return [found for reservation in reservations for found in reservation.get("Instances", ())]


def _labelled(node: Node, labels: Mapping[str, str]) -> Node:
    """One that only the journal knows comes without labels: it is of the caller's deployment, and
    may be of the run, but of no batch that anyone asks for by name."""
    known = {
        key: value for key, value in labels.items() if key != names.BATCH and value != names.ANY
    }
    return node if node.labels else msgspec.structs.replace(node, labels=known)


def from_ec2(found: Record, location: str, price_of: PriceOf, *, public: bool) -> Node:
    """Our node for one of EC2's instances. An instance has no name of its own that is unique: its
    id is what AWS's users look for. A state that nobody knows is taken as RUNNING, since a machine
    whose state we cannot read may well be billed."""
    state = text(found, "State.Name")
    zone, size = text(found, "Placement.AvailabilityZone"), text(found, "InstanceType")
    market = Market.SPOT if found.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND
    private = found.get("PrivateIpAddress")
    return Node(
        id=found["InstanceId"],
        name=found["InstanceId"],
        provider="aws",
        location=location,
        state=STATES.get(state, NodeState.RUNNING),
        labels=tags(found),
        zone=zone or None,
        size=size or None,
        market=market,
        address=found.get("PublicIpAddress") if public else private,
        private_address=private,
        created_at=found["LaunchTime"].timestamp() if "LaunchTime" in found else None,
        usd_per_hour=price_of(market, zone or None, size or None),
        cloud_state=state,
    )
