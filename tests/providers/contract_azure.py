"""The contract's lab for the Azure provider, held to what Microsoft publishes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from spotdeploy.config.load import decode
from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.testing import Facts, ManualClock, Powers, ProviderContract
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.nodes import node_id
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.faults import QUOTA
from tests.labs.azure.handlers import DEPLOYMENT
from tests.labs.azure.lab import SUBSCRIPTION
from tests.labs.azure.reaching import between, security_rules
from tests.labs.reaching import ranges

SIZE = "Standard_D2as_v5"
NOTICE = {
    "DocumentIncarnation": 2,
    "Events": [{"EventType": "Preempt", "EventStatus": "Scheduled", "NotBefore": ""}],
}
"""https://learn.microsoft.com/en-us/azure/virtual-machines/linux/scheduled-events"""
CATALOGUE = ("skus", "offers")
"""Ends of operations whose answers are kept: they are no part of what a call costs."""


class Contract(ProviderContract):
    """All powers there are."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def azure(self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureLab]:
        with AzureLab(clock) as azure:
            azure.timing.listing_delay = 2.0
            for name, value in azure.environment.items():
                monkeypatch.setenv(name, value)
            yield azure
            assert azure.wrong == []

    @pytest.fixture
    def provider_class(self) -> type[AzureProvider]:
        return AzureProvider

    @pytest.fixture
    def config(self, azure: AzureLab) -> AzureConfig:
        table = {**azure.table, "sizes": [SIZE], "price_service": azure.url}
        return decode(table, AzureConfig, "the contract")

    @pytest.fixture
    def make_provider(
        self, provider_class: type[AzureProvider], config: AzureConfig, clock: ManualClock
    ) -> Callable[[], AzureProvider]:
        location = provider_class.locations(config)[0]
        return lambda: provider_class(config, location, clock.sleep)

    @pytest.fixture
    def calls(self, azure: AzureLab) -> Callable[[], int]:
        return lambda: sum(not one.operation.endswith(CATALOGUE) for one in azure.calls)

    @pytest.fixture
    def facts(self) -> Facts:
        group = "spotdeploy-nobody-run-1-eastus"
        return Facts(
            unknown_id=node_id(SUBSCRIPTION, group, "never-was-1"),
            account=SUBSCRIPTION,
            notice=json.dumps(NOTICE),
            test_within=120.0,
            settle=3.0,
        )

    @pytest.fixture
    def powers(self, azure: AzureLab) -> Powers:
        return Powers(
            no_capacity=lambda: azure.faults.limit(0),
            used_up_quota=lambda: azure.faults.limit(0, trouble=QUOTA, preflight=True),
            limit_to=azure.faults.limit,
            lose_reply=lambda: azure.faults.lose_reply(f"PUT {DEPLOYMENT}"),
            throttle=lambda: azure.faults.throttle(times=100),
            outage=lambda: azure.faults.refuse(
                "", 500, "InternalServerError", "The server encountered an internal error.", 1000
            ),
            openings=lambda node: openings(azure, node),
            reaches=lambda source, target, port: reaches(azure, source, target, port),
            inventory=azure.remains,
            expire_credentials=azure.revoke,
            protect=lambda node: azure.faults.locked.add(node.id.lower()),
            stop=lambda node: azure.power(node.id, "stopped"),
            interrupt=lambda node: azure.interrupt(node.id),
            vanish=lambda node: azure.delete(node.id),
            user_data_of=lambda node: azure.machine(node.id).user_data,
            remains=lambda _: azure.remains(),
            heal=lambda: _heal(azure),
        )


def _heal(azure: AzureLab) -> None:
    azure.faults.clear()
    azure.restore()


def openings(azure: AzureLab, node: Node) -> Iterator[tuple[int, str]]:
    """What the security group of a machine's interface lets in."""
    for its in security_rules(azure.machine(node.id)):
        sources = its.get("sourceAddressPrefixes") or [its.get("sourceAddressPrefix")]
        if its["access"] == "Allow" and its["direction"] == "Inbound" and any(sources):
            ports = its.get("destinationPortRanges") or [its["destinationPortRange"]]
            for one in ranges(its["protocol"], ports):
                if one.protocol == "tcp":
                    yield from product(range(one.first, one.last + 1), sources)


def reaches(azure: AzureLab, source: Node, target: Node, port: PortRange) -> bool:
    """Whether the security group of a machine lets another one reach a port of it."""
    found = between(azure.machine(source.id), azure.machine(target.id))
    return any(one.holds(port) for one in found)
