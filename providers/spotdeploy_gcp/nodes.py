"""From Compute Engine's instances to our nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Market, Node, NodeState
from spotdeploy.refusals import none_if_missing
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver
from spotdeploy_gcp.errors import MISSING
from spotdeploy_gcp.schemas import last
from spotdeploy_libcloud.nodes import PriceOf, to_node

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
_PROJECT: Final = r"(?:[a-z0-9.-]+:)?[a-z0-9-]+"
_NAME: Final = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ID: Final = re.compile(rf"(?:({_PROJECT})/)?({_NAME})/({_NAME})")
"""The discovery document's own patterns of a zone and of an instance: zones have names of many
forms, such as `us-central1-ai1a`."""

Instance: TypeAlias = dict[str, Any]
"""One as the API gives it."""


class Nodes:
    """The instances of one region."""

    def __init__(self, driver: GceDriver, region: str, price_of: PriceOf, *, public: bool) -> None:
        """Calls nothing. `public` chooses which address ssh dials."""
        self._driver = driver
        self._region = region
        self._price_of = price_of
        self._public = public

    def with_labels(self, labels: Mapping[str, str]) -> list[Node]:
        """Those with all these labels: one call for each 500."""
        query = {"filter": label_filter(labels)}
        driver, region = self._driver, self._region
        found = driver.zonal(Action.LIST_INSTANCES, "instances", Instance, query, region)
        return [self._of(instance) for instance in found]

    def node(self, zone: str, name: str) -> Node | None:
        """One node, or None when there is no such instance."""
        instance = self.instance(ZonalId(self._driver.project, zone, name))
        return self._of(instance) if instance is not None else None

    def instance(self, place: ZonalId) -> Instance | None:
        """One instance as the API gives it, or None when there is none."""
        at, call = place.instance, self._driver.call
        return none_if_missing(lambda: call(Action.GET_INSTANCE, Instance, at), MISSING)

    def _of(self, instance: Instance) -> Node:
        found = self._driver.to_node(instance)
        return from_gce(found, self._region, self._price_of, public=self._public)


@dataclass(frozen=True, slots=True)
class ZonalId:
    """What an instance or a disk is called: names are unique within a zone of a project only."""

    project: str
    zone: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.zone}/{self.name}"

    @classmethod
    def parse(cls, id_: str, project: str) -> ZonalId:
        """Read an id. One without a project, as journals of earlier versions have it, is of
        `project`. Raises ProviderError for what is no id."""
        found = _ID.fullmatch(id_)
        if found is None:
            raise ProviderError(
                f"{id_!r} is no id of Compute Engine, which is PROJECT/ZONE/NAME",
                hint="look for it in the console, by its name",
            )
        return cls(found[1] or project, found[2], found[3])

    @property
    def instance(self) -> dict[str, str]:
        """What fills the path of a method of an instance."""
        return {"project": self.project, "zone": self.zone, "instance": self.name}

    @property
    def disk(self) -> dict[str, str]:
        """What fills the path of a method of a disk."""
        return {"project": self.project, "zone": self.zone, "disk": self.name}


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
    found.id = str(ZonalId(found.driver.project, zone, found.name))
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
