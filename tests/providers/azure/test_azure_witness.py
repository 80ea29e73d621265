"""Microsoft's own clients as a second witness: they list, read and delete what the provider made,
and the provider reads and destroys what they made."""

from __future__ import annotations

import time
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.deployments import DeploymentsMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup

from spotdeploy.model import NodeState
from spotdeploy.testing import ManualClock
from spotdeploy_azure.actions import COMPUTE_VERSION, NETWORK_VERSION, RESOURCES_VERSION
from spotdeploy_azure.auth import throwaway_public_key
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.network import Doors
from spotdeploy_azure.provider import AzureProvider
from spotdeploy_azure.request import Site, deployment, parts
from spotdeploy_libcloud.network import Ingress
from tests.labs.azure import AzureLab
from tests.labs.azure.lab import SUBSCRIPTION
from tests.providers.azure.conftest import GROUP, LABELS, LOCATION, SCOPE, SIZE, batch, offer

IMAGE = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server"}


class Token:
    """A token that the lab takes."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """See azure-core."""
        return AccessToken("witness", int(time.time()) + 3600)


class Clients:
    """Microsoft's clients, at the lab, whose every operation they reach by TLS."""

    def __init__(self, lab: AzureLab) -> None:
        lab.logins.tokens.add("witness")
        common: dict[str, Any] = {"base_url": lab.login_url, "polling_interval": 0}
        compute = {**common, "api_version": COMPUTE_VERSION}
        network = {**common, "api_version": NETWORK_VERSION}
        resources = {**common, "api_version": RESOURCES_VERSION}
        self.compute = ComputeManagementClient(Token(), SUBSCRIPTION, **compute)
        self.network = NetworkManagementClient(Token(), SUBSCRIPTION, **network)
        self.resources = ResourceManagementClient(Token(), SUBSCRIPTION, **resources)
        self.deployments = DeploymentsMgmtClient(Token(), SUBSCRIPTION, **resources)


@pytest.fixture
def clients(lab: AzureLab) -> Clients:
    """Clients that wait for nothing: what they begin to delete is gone at once."""
    lab.timing.going = lab.timing.group_going = 0.0
    return Clients(lab)


def test_they_list_and_read_what_the_provider_made(
    provider: AzureProvider, clients: Clients, clock: ManualClock
) -> None:
    nodes = {node.name: node for node in provider.create(offer(), batch(25)).nodes}
    clock.sleep(60)
    (group,) = clients.resources.resource_groups.list(filter="tagName eq 'spotdeploy-run'")
    assert group.name == GROUP
    machines = list(clients.compute.virtual_machines.list(GROUP))
    assert {one.name for one in machines} == nodes.keys()
    assert all(LABELS.items() <= (one.tags or {}).items() for one in machines)
    read: Any = clients.compute.virtual_machines.get(
        GROUP, str(machines[0].name), expand="instanceView"
    )
    statuses = read.properties.instance_view.statuses
    assert "PowerState/running" in {one.code for one in statuses}
    publics: list[Any] = list(clients.network.public_ip_addresses.list(GROUP))
    addresses = {one.properties.ip_address for one in publics}
    assert addresses == {node.address for node in provider.nodes(SCOPE)}


def test_what_they_delete_is_gone_for_the_provider(
    provider: AzureProvider, clients: Clients, lab: AzureLab
) -> None:
    first, second = provider.create(offer(), batch(2)).nodes
    clients.compute.virtual_machines.begin_delete(GROUP, first.name, force_deletion=True).result()
    assert [node.id for node in provider.nodes(SCOPE)] == [second.id]
    clients.resources.resource_groups.begin_delete(GROUP).result()
    assert provider.nodes(SCOPE) == []
    assert provider.leftovers(SCOPE) == []
    assert lab.remains() == []


def test_the_provider_reads_and_destroys_what_they_made(
    provider: AzureProvider, clients: Clients, lab: AzureLab, clock: ManualClock
) -> None:
    request = batch(2)
    group = ResourceGroup(location=LOCATION, tags=dict(LABELS))
    clients.resources.resource_groups.create_or_update(GROUP, group)
    site = Site(
        LOCATION,
        {
            "publisher": "Canonical",
            "offer": "ubuntu-24_04-lts",
            "sku": "server",
            "version": "latest",
        },
        Doors(Ingress((), ("192.0.2.1/32",))),
        throwaway_public_key(),
    )
    (part,) = parts(request)
    body: Any = deployment(offer(), request, part, site, AzureConfig())
    clients.deployments.deployments.begin_create_or_update(GROUP, "made", body, polling=False)
    clock.sleep(60)
    nodes = provider.nodes(SCOPE)
    assert [(node.state, node.size) for node in nodes] == [(NodeState.RUNNING, SIZE)] * 2
    provider.destroy(nodes)
    assert lab.remains() == []
