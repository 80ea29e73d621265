"""Every promise of a provider, kept by GCP against the lab."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from spotdeploy.config.load import decode
from spotdeploy.labels import matches
from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.provider import Provider, ProviderConfig
from spotdeploy.testing import Facts, Powers, ProviderContract
from spotdeploy.testing.provider_contract import Lab
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.network import described
from spotdeploy_gcp.nodes import ZonalId
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.labs.gcp.faults import QUOTA
from tests.labs.gcp.reaching import between
from tests.labs.reaching import ranges
from tests.providers.gcp.conftest import SIZE, ZONE

PAGE = 8
"""The most items that the lab puts on a page."""
UNCOUNTED = ("/firewalls", "/operations/", "/images", "/machineTypes")
"""Requests that are made once for a run, or once for an operation however long it takes."""


def name_of(node: Node) -> str:
    """The instance's name."""
    return ZonalId.parse(node.id, "").name


class TestContract(ProviderContract):
    """The contract."""

    @pytest.fixture
    def cloud(self, lab_of_gcp: GcpLab) -> GcpLab:
        lab_of_gcp.timing.going = 0.2
        lab_of_gcp.timing.listing_delay = 0.2
        lab_of_gcp.cloud.page = PAGE
        return lab_of_gcp

    @pytest.fixture
    def provider_class(self) -> type[Provider[Any]]:
        return GcpProvider

    @pytest.fixture
    def config(self, cloud: GcpLab) -> ProviderConfig:
        table = {**cloud.table, "sizes": [SIZE], "project": cloud.project}
        found: ProviderConfig = decode(table, GcpConfig, "the contract")
        return found

    @pytest.fixture
    def calls(self, cloud: GcpLab) -> Callable[[], int]:
        return lambda: sum(
            not any(word in request for word in UNCOUNTED) for request in cloud.requests
        )

    @pytest.fixture
    def facts(self, cloud: GcpLab) -> Facts:
        return Facts(
            unknown_id=f"{ZONE}/sd-never-was-0",
            page_size=PAGE,
            account=cloud.project,
            notice="TRUE\n",
            test_within=120.0,
            settle=0.3,
            poll=0.02,
        )

    @pytest.fixture
    def powers(self, cloud: GcpLab) -> Powers:
        def heal() -> None:
            cloud.faults.clear()
            cloud.restore()

        return Powers(
            no_capacity=lambda: cloud.faults.limit(0, zone=ZONE),
            used_up_quota=lambda: cloud.faults.limit(0, trouble=QUOTA),
            limit_to=lambda count: cloud.faults.limit(count, zone=ZONE),
            lose_reply=lambda: cloud.faults.lose_reply("compute.instances.bulkInsert"),
            throttle=lambda: cloud.faults.throttle(times=1000),
            outage=lambda: cloud.faults.refuse("", 503, "backendError", "Backend Error", 1000),
            openings=lambda node: openings(cloud, node),
            reaches=lambda source, target, port: reaches(cloud, source, target, port),
            expires=lambda node: expires(cloud, node),
            inventory=lambda: inventory(cloud),
            expire_credentials=cloud.revoke,
            protect=lambda node: cloud.faults.protected.add(name_of(node)),
            stop=lambda node: cloud.power_off(name_of(node)),
            interrupt=lambda node: cloud.interrupt(name_of(node)),
            vanish=lambda node: cloud.delete(name_of(node)),
            user_data_of=lambda node: user_data(cloud, node),
            remains=lambda labels: remains(cloud, labels),
            heal=heal,
        )

    @pytest.fixture(autouse=True)
    def _keep_cloud(self, cloud: GcpLab) -> None:
        self.gcp = cloud

    def test_one_call_makes_a_whole_batch(self, lab: Lab) -> None:
        self.gcp.timing.listing_delay = 0  # what a listing lacks is asked for one by one, by name
        super().test_one_call_makes_a_whole_batch(lab)


def remains(cloud: GcpLab, labels: Mapping[str, str]) -> list[str]:
    """All that the lab's cloud keeps with these labels."""
    living = cloud.cloud.living()
    labelled = [(one.name, one.properties["labels"]) for one in living]
    labelled += [(str(disk["name"]), disk["labels"]) for disk in cloud.cloud.disks.values()]
    rules = [(name, described(rule["description"])) for name, rule in cloud.cloud.firewalls.items()]
    return [name for name, its in labelled + rules if matches(its, labels)]


def user_data(cloud: GcpLab, node: Node) -> bytes:
    """What cloud-init would read on the node."""
    instance = cloud.instance(name_of(node))
    text = instance.metadata("user-data") or ""
    if instance.metadata("user-data-encoding") == "base64":
        return base64.b64decode(text)
    return text.encode()


def inventory(cloud: GcpLab) -> list[str]:
    """All that the lab's cloud keeps, whatever its labels."""
    return [*cloud.remains(), *(name for _, name in cloud.cloud.networks)]


def openings(cloud: GcpLab, node: Node) -> Iterator[tuple[int, str]]:
    """What the rules that aim at an instance's tags let in."""
    tags = set(cloud.instance(name_of(node)).properties["tags"]["items"])
    for rule in cloud.cloud.firewalls.values():
        sources = rule.get("sourceRanges", ()) if tags & set(rule["targetTags"]) else ()
        for allowed in rule.get("allowed", ()) if sources else ():
            for one in ranges(allowed["IPProtocol"], allowed.get("ports", ())):
                if one.protocol == "tcp":
                    yield from product(range(one.first, one.last + 1), sources)


def reaches(cloud: GcpLab, source: Node, target: Node, port: PortRange) -> bool:
    """Whether the network's rules let one instance reach a port of another."""
    ends = [cloud.instance(name_of(node)) for node in (source, target)]
    return any(one.holds(port) for one in between(cloud.cloud, *ends))


def expires(cloud: GcpLab, node: Node) -> float | None:
    """When Compute Engine ends an instance by itself:
    https://cloud.google.com/compute/docs/instances/limit-vm-runtime"""
    scheduling = cloud.instance(name_of(node)).scheduling
    if "maxRunDuration" not in scheduling:
        return None
    return cloud.cloud.now + int(scheduling["maxRunDuration"]["seconds"])
