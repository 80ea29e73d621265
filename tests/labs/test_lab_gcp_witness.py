"""Google's own client as a second witness: it lists, reads and deletes what our provider made in
the lab, and our provider reads and ends what that client made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import compute_v1
from google.cloud.compute_v1.services.disks.transports import DisksRestTransport
from google.cloud.compute_v1.services.instances.transports import InstancesRestTransport
from google.oauth2.service_account import Credentials

from spotdeploy import labels
from spotdeploy.model import Market, NodeState
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.clouds import GCP
from tests.labs.gcp import GcpLab
from tests.labs.gcp.catalogue import ROOT
from tests.labs.gcp.tokens import SCOPE as COMPUTE
from tests.providers.gcp.conftest import LABELS, SCOPE, ZONE, batch, offer


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[GcpLab]:
    with GcpLab(tmp_path) as lab:
        os.environ.update(lab.environment)
        yield lab
        assert lab.wrong == []


@pytest.fixture
def provider(lab: GcpLab) -> GcpProvider:
    provider = GCP.open(lab)
    assert isinstance(provider, GcpProvider)
    return provider


@pytest.fixture
def how(lab: GcpLab) -> dict[str, Any]:
    """How Google's client gets to the lab."""
    read: Any = Credentials.from_service_account_file
    credentials = read(str(lab.key_file), scopes=[COMPUTE])
    host = lab.url.removeprefix("http://")
    return {"host": host, "url_scheme": "http", "credentials": credentials}


@pytest.fixture
def instances(how: dict[str, Any]) -> compute_v1.InstancesClient:
    return compute_v1.InstancesClient(transport=InstancesRestTransport(**how))


def listed(client: Any, project: str) -> dict[str, Any]:
    """Name to what is there with our label, in whatever zone."""
    request = {
        "project": project,
        "filter": '(labels.spotdeploy-deployment = "shop")',
    }
    found = {}
    for _, scope in client.aggregated_list(request):
        things = scope.instances if "instances" in type(scope).meta.fields else scope.disks
        found.update({one.name: one for one in things})
    return found


def test_it_lists_reads_and_deletes_what_our_provider_made(
    lab: GcpLab, provider: GcpProvider, instances: compute_v1.InstancesClient, how: dict[str, Any]
) -> None:
    made = provider.create(offer(), batch(3)).nodes
    lab.cloud.page = 2
    found = listed(instances, lab.project)
    assert sorted(found) == [node.name for node in made]
    disks = compute_v1.DisksClient(transport=DisksRestTransport(**how))
    assert sorted(listed(disks, lab.project)) == sorted(found)
    for node in made:
        one = instances.get(project=lab.project, zone=ZONE, instance=node.name)
        assert dict(one.labels) == dict(node.labels) == LABELS
        assert one.scheduling.provisioning_model == "SPOT"
        assert one.scheduling.instance_termination_action == "DELETE"
        assert one.network_interfaces[0].access_configs[0].nat_i_p == node.address
        assert one.network_interfaces[0].network_i_p == node.private_address
        keys = {item.key for item in one.metadata.items}
        assert keys == {"block-project-ssh-keys", "user-data", "startup-script"}
    gone, *kept = made
    instances.delete_unary(project=lab.project, zone=ZONE, instance=gone.name)
    assert [node.name for node in provider.nodes(SCOPE)] == [node.name for node in kept]


def test_it_too_is_told_of_a_silent_zone_and_still_lists_the_others(
    lab: GcpLab, provider: GcpProvider, instances: compute_v1.InstancesClient
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.faults.unreachable.add("europe-west4-b")
    assert list(listed(instances, lab.project)) == [node.name]
    assert [one.name for one in provider.nodes(SCOPE)] == [node.name]


def test_our_provider_reads_and_ends_what_it_made(
    lab: GcpLab, provider: GcpProvider, instances: compute_v1.InstancesClient
) -> None:
    disk = compute_v1.AttachedDisk(
        boot=True,
        auto_delete=True,
        initialize_params=compute_v1.AttachedDiskInitializeParams(
            source_image=f"{ROOT}/projects/{lab.project}/global/images/mine-v1",
            disk_size_gb=16,
            disk_type="pd-balanced",
            labels=LABELS,
        ),
    )
    resource = compute_v1.BulkInsertInstanceResource(
        count=1,
        per_instance_properties={"by-another": {}},
        instance_properties=compute_v1.InstanceProperties(
            machine_type="e2-small",
            labels=LABELS,
            disks=[disk],
            network_interfaces=[
                compute_v1.NetworkInterface(
                    network=f"projects/{lab.project}/global/networks/default",
                    access_configs=[compute_v1.AccessConfig(type_="ONE_TO_ONE_NAT")],
                )
            ],
            scheduling=compute_v1.Scheduling(
                provisioning_model="STANDARD", on_host_maintenance="MIGRATE"
            ),
        ),
    )
    instances.bulk_insert_unary(
        project=lab.project, zone=ZONE, bulk_insert_instance_resource_resource=resource
    )
    (node,) = provider.nodes({labels.DEPLOYMENT: "shop"})
    assert (node.id, node.state) == (f"{lab.project}/{ZONE}/by-another", NodeState.RUNNING)
    assert (node.market, node.size, node.zone) == (Market.ON_DEMAND, "e2-small", ZONE)
    assert node.address == lab.address(node.id)
    provider.destroy([node])
    assert listed(instances, lab.project) == {}
    assert lab.remains() == []
