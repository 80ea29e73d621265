"""What reaches the nodes: firewall rules for each run and region, aimed at network tags.

One tag is that of the run. A rule keeps out of its nodes all else than what others let in, since
the default network comes with rules that open ssh to the whole internet, and every port to the
network itself: https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc

The other tag is that of what a batch asked for. Rules aimed at it let in just that; the source of
what nodes of the run may send is the run's tag, which stands there for the internal addresses of
the machines that carry it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import CredentialsError, ProviderError
from spotdeploy.model import Batch
from spotdeploy.ports import PortRange, is_all
from spotdeploy.refusals import none_if_missing
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver, PathParameters
from spotdeploy_gcp.config import GcpConfig, network_path, project_of
from spotdeploy_gcp.errors import EXISTS, FORBIDDEN, MISSING
from spotdeploy_gcp.schemas import Firewall as Rule
from spotdeploy_gcp.schemas import Operation
from spotdeploy_libcloud.network import Ingress, OwnAddress, digest
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
        self._made: set[str] = set()

    def tags(self, batch: Batch) -> tuple[str, ...]:
        """The network tags of a batch's nodes. The rules that aim at them are made on first use."""
        return (*self._config.tags, *(self._own_tags(batch) if self._config.firewall else ()))

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

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """See `SupportsPeers.admit`: a rule for each version of IP, which is made, changed or
        deleted. A call to read each, and one to change it; none where the rules are the user's."""
        if not self._config.firewall:
            return
        between = batch.open_between or ()
        ingress = self.own_address.ingress(batch)
        for body in rules_for_elsewhere(
            self._driver.project, batch.labels, ingress, self._place, between, addresses
        ):
            self._let_in(body)

    def _let_in(self, body: Body) -> None:
        at = {"project": self.project, "firewall": str(body["name"])}
        call, there = self._driver.call, self.rule(str(body["name"]))
        if there is None and body["sourceRanges"]:
            self.make([body])
        elif there and not body["sourceRanges"]:  # a rule without sources would let in everybody
            started = call(Action.DELETE_FIREWALL, Operation, at)
            self._driver.succeed(started, Action.DELETE_FIREWALL.id, at)
        elif there and sorted(there.source_ranges) != body["sourceRanges"]:
            change: Body = {"sourceRanges": body["sourceRanges"]}
            started = call(Action.PATCH_FIREWALL, Operation, at, body=change)
            self._driver.succeed(started, Action.PATCH_FIREWALL.id, at)

    @property
    def network(self) -> str:
        """The network's path."""
        return network_path(self._config.network, self._driver.project)

    @property
    def project(self) -> str:
        """The project of the network, and of its rules."""
        return project_of(self.network)

    def _own_tags(self, batch: Batch) -> tuple[str, str]:
        ingress = self.own_address.ingress(batch)
        project = self._driver.project
        between = batch.open_between or ()
        bodies = rules(project, batch.labels, ingress, self._place, between)
        missing = {str(body["name"]): body for body in bodies if body["name"] not in self._made}
        self.make(list(missing.values()))
        self._made |= missing.keys()
        return tags_of(batch.labels, ingress, between, self._place.region)

    def forget(self) -> None:
        """Make rules again when they are needed next."""
        self._made.clear()


@dataclass(frozen=True, slots=True)
class Place:
    """Where rules are in force."""

    network: str
    """As in the config."""
    region: str


def tags_of(
    labels: Mapping[str, str], ingress: Ingress, between: Sequence[PortRange], region: str
) -> tuple[str, str]:
    """The network tag of a run's nodes in a region, and that of those which let in the same. They
    begin the names of their rules, which have at most 63 characters, so the run and the region go
    into them as a digest."""
    deployment = labels[names.DEPLOYMENT]
    of_run = f"{deployment}/{labels[names.RUN]}/{region}"
    tag = f"{PREFIX}{deployment[:24]}-{hashlib.sha256(of_run.encode()).hexdigest()[:12]}"
    return tag, f"{tag}-{digest(ingress, between)}"


def rules(
    project: str,
    labels: Mapping[str, str],
    ingress: Ingress,
    place: Place,
    between: Sequence[PortRange] = (),
) -> list[Body]:
    """The bodies of the rules. One rule takes addresses of one version only:
    https://cloud.google.com/firewall/docs/firewalls#ipv6"""
    tag, door = tags_of(labels, ingress, between, place.region)
    ports = [str(port) for port in ingress.all_ports]
    allowed: Body = {"allowed": [{"IPProtocol": "tcp", "ports": ports}], "priority": LET_IN}
    denied: Body = {"denied": [{"IPProtocol": "all"}], "priority": KEEP_OUT}
    own: Body = {"allowed": _allowed(between), "priority": LET_IN}
    kinds: list[tuple[str, str, str, Sequence[str], Body]] = [
        (door, "", "sourceRanges", ingress.cidrs(4), allowed),
        (door, "-v6", "sourceRanges", ingress.cidrs(6), allowed),
        (door, "-own", "sourceTags", [tag] if between else [], own),
        (tag, "-deny", "sourceRanges", ["0.0.0.0/0"], denied),
    ]
    common = _common(project, labels, place)
    return [
        {"name": f"{aim}{end}", "targetTags": [aim], key: sources, **common, **rule}
        for aim, end, key, sources, rule in kinds
        if sources
    ]


def rules_for_elsewhere(
    project: str,
    labels: Mapping[str, str],
    ingress: Ingress,
    place: Place,
    between: Sequence[PortRange],
    addresses: Sequence[str],
) -> list[Body]:
    """The rules that let in nodes which are somewhere else, of each version of IP: those without
    sources are not to be."""
    _, door = tags_of(labels, ingress, between, place.region)
    networks = [ip_network(address) for address in addresses]
    return [
        {
            "name": f"{door}-p{version}",
            "targetTags": [door],
            "sourceRanges": sorted(str(one) for one in networks if one.version == version),
            **_common(project, labels, place),
            "allowed": _allowed(between, version),
            "priority": LET_IN,
        }
        for version in (4, 6)
    ]


def _common(project: str, labels: Mapping[str, str], place: Place) -> Body:
    return {
        "network": network_path(place.network, project),
        "description": describe(labels, place.region),
        "direction": "INGRESS",
    }


def _allowed(between: Sequence[PortRange], version: int = 4) -> list[Body]:
    """The ports of each protocol, and ICMP with all of them."""
    ports = {
        protocol: [one.ports for one in between if one.protocol == protocol]
        for protocol in ("tcp", "udp")
    }
    found: list[Body] = [
        {"IPProtocol": protocol, "ports": its} for protocol, its in ports.items() if its
    ]
    return [*found, {"IPProtocol": "icmp" if version == 4 else "58"}] if is_all(between) else found


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
