"""What reaches the nodes: two firewall rules for each run and region, aimed at a network tag.

One rule lets in what was asked for. The other, next in rank, keeps out all else, since the
default network comes with rules that open ssh to the whole internet:
https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError
from spotdeploy.model import Batch
from spotdeploy.refusals import none_if_missing
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver, PathParameters
from spotdeploy_gcp.config import GcpConfig, network_path, project_of
from spotdeploy_gcp.errors import EXISTS, FORBIDDEN, MISSING
from spotdeploy_gcp.schemas import Firewall as Rule
from spotdeploy_gcp.schemas import Operation
from spotdeploy_libcloud.network import Ingress, OwnAddress
from spotdeploy_libcloud.request import Body

PREFIX: Final = "spotdeploy-"
LOCATION: Final = "location"
LET_IN: Final = 1000
KEEP_OUT: Final = 1001
"""Priorities: the default network's own rules have 65534."""


class Firewall:
    """The rules of the runs in one region. Those of a run are made once."""

    def __init__(self, driver: GceDriver, config: GcpConfig, region: str) -> None:
        """Calls nothing."""
        self._driver = driver
        self._config = config
        self._place = Place(config.network, region)
        self.own_address = OwnAddress("gcp", config.address, config.address_service)
        self._tags: dict[tuple[str, str], str] = {}

    def tags(self, batch: Batch) -> tuple[str, ...]:
        """The network tags of a batch's nodes. The rules of its run, which aim at one of them, are
        made on first use."""
        return (*self._config.tags, *([self._tag(batch)] if self._config.firewall else []))

    def rules(self) -> list[Rule]:
        """The rules whose names begin like ours, in the network's project. One call for each 500.

        Who makes no rules may not be allowed to list them either: then there are none of ours.
        """
        query = {"filter": f'name eq "{PREFIX}.*"'}
        at = {"project": self.project}
        try:
            return self._driver.pages(Action.LIST_FIREWALLS, Rule, query, at)
        except CredentialsError as error:
            if self._config.firewall or error.code not in FORBIDDEN:
                raise
            return []

    def rule(self, name: str) -> Rule | None:
        """The rule of that name, if there is one."""
        at = {"project": self.project, "firewall": name}
        call = self._driver.call
        return none_if_missing(lambda: call(Action.GET_FIREWALL, Rule, at), MISSING)

    def make(self, bodies: Sequence[Body]) -> None:
        """Make the rules that are not there. See `make_rules`."""
        make_rules(self._driver, bodies, self.project)

    @property
    def network(self) -> str:
        """The network's path."""
        return network_path(self._config.network, self._driver.project)

    @property
    def project(self) -> str:
        """The project of the network, and of its rules."""
        return project_of(self.network)

    def _tag(self, batch: Batch) -> str:
        run = (batch.labels[names.DEPLOYMENT], batch.labels[names.RUN])
        if run not in self._tags:
            ingress = self.own_address.ingress(batch)
            self._tags[run] = open_firewall(self._driver, batch.labels, ingress, self._place)
        return self._tags[run]

    def forget(self) -> None:
        """Make rules again when they are needed next."""
        self._tags.clear()


@dataclass(frozen=True, slots=True)
class Place:
    """Where rules are in force."""

    network: str
    """As in the config."""
    region: str


def tag_of(labels: Mapping[str, str], region: str) -> str:
    """The network tag of a run's nodes in a region, which also begins its rules' names. A rule's
    name has at most 63 characters, so the run and the region go into it as a digest."""
    deployment = labels[names.DEPLOYMENT]
    of_run = f"{deployment}/{labels[names.RUN]}/{region}"
    return f"{PREFIX}{deployment[:24]}-{hashlib.sha256(of_run.encode()).hexdigest()[:12]}"


def rules(project: str, labels: Mapping[str, str], ingress: Ingress, place: Place) -> list[Body]:
    """The bodies of the rules. One rule takes addresses of one version only:
    https://cloud.google.com/firewall/docs/firewalls#ipv6"""
    tag = tag_of(labels, place.region)
    ports = [str(port) for port in ingress.all_ports]
    allowed: Body = {"allowed": [{"IPProtocol": "tcp", "ports": ports}], "priority": LET_IN}
    denied: Body = {"denied": [{"IPProtocol": "all"}], "priority": KEEP_OUT}
    kinds: list[tuple[str, list[str], Body]] = [
        (tag, ingress.cidrs(4), allowed),
        (f"{tag}-v6", ingress.cidrs(6), allowed),
        (f"{tag}-deny", ["0.0.0.0/0"], denied),
    ]
    common: Body = {
        "network": network_path(place.network, project),
        "description": describe(labels, place.region),
        "direction": "INGRESS",
        "targetTags": [tag],
    }
    return [
        {"name": name, "sourceRanges": sources, **common, **rule}
        for name, sources, rule in kinds
        if sources
    ]


def describe(labels: Mapping[str, str], region: str) -> str:
    """A rule's description, which carries its labels: rules have none of their own."""
    kept = {key: value for key, value in labels.items() if key != names.BATCH}
    return json.dumps({**kept, LOCATION: region})


def described(description: str) -> dict[str, str]:
    """The labels in a rule's description; empty when it is not one of ours."""
    try:
        found = json.loads(description)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def open_firewall(
    driver: GceDriver, labels: Mapping[str, str], ingress: Ingress, place: Place
) -> str:
    """Make the rules that are not there, and return the tag they aim at. May be repeated."""
    bodies = rules(driver.project, labels, ingress, place)
    make_rules(driver, bodies, project_of(network_path(place.network, driver.project)))
    return tag_of(labels, place.region)


def make_rules(driver: GceDriver, bodies: Sequence[Body], project: str) -> None:
    """Make the rules that are not there: asked for at once, and awaited together."""
    at = {"project": project}
    started = [operation for body in bodies for operation in _insert(driver, body, at)]
    for operation in started:
        done = driver.finish(operation, at)
        if any(error.code not in EXISTS for error in done.errors):
            driver.succeed(done, Action.INSERT_FIREWALL.id, at)


def _insert(driver: GceDriver, body: Body, at: PathParameters) -> Sequence[Operation]:
    try:
        return [driver.call(Action.INSERT_FIREWALL, Operation, at, body=body)]
    except ProviderError as error:
        if error.code in EXISTS:
            return []
        raise
