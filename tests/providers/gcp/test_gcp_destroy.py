"""Ending nodes and releasing what they leave."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Resource
from spotdeploy_gcp.destroy import DISK, FIREWALL
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.providers.gcp.conftest import REGION, SCOPE, ZONE, MakeProvider, batch, offer

DELETE = "compute.instances.delete"


def test_a_thousand_nodes_are_one_request(provider: GcpProvider, lab: GcpLab) -> None:
    nodes = provider.create(offer(), batch(1000)).nodes
    lab.forget_calls()
    provider.destroy(nodes)
    assert len(lab.requests) == 1
    assert lab.called() == ["instances.delete"] * 1000
    assert lab.instances() == {}


def test_a_protected_node_is_named_after_all_others_were_ended(
    provider: GcpProvider, lab: GcpLab
) -> None:
    first, stubborn, third = provider.create(offer(), batch(3)).nodes
    lab.faults.protected.add(stubborn.name)
    with pytest.raises(ProviderError, match="protected against deletion"):
        provider.destroy([first, stubborn, third])
    assert set(lab.instances()) == {stubborn.name}


def test_throttling_within_a_batch_asks_for_patience_and_repeating_ends_the_rest(
    provider: GcpProvider, lab: GcpLab
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    lab.faults.throttle(DELETE, times=2)
    with pytest.raises(ThrottledError):
        provider.destroy(nodes)
    assert len(lab.instances()) == 2
    provider.destroy(nodes)
    assert lab.instances() == {}


def test_a_lost_answer_to_a_destroy_may_simply_be_repeated(
    provider: GcpProvider, lab: GcpLab
) -> None:
    nodes = provider.create(offer(), batch(2)).nodes
    lab.faults.lose_reply(DELETE)
    with pytest.raises(ThrottledError):
        provider.destroy(nodes)
    provider.destroy(nodes)
    assert lab.instances() == {}


def test_a_disk_without_its_instance_is_left_over_and_released(
    provider: GcpProvider, lab: GcpLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.instance(node.name).properties["disks"][0]["autoDelete"] = False
    provider.destroy([node])
    things = provider.leftovers(SCOPE)
    (disk,) = (thing for thing in things if thing.kind == DISK)
    assert disk.id == f"disks/{lab.project}/{ZONE}/{node.name}"
    provider.release(things)
    assert provider.leftovers(SCOPE) == []


def test_a_disk_in_use_is_left_for_the_next_try(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    disks = [thing for thing in provider.leftovers(SCOPE) if thing.kind == DISK]
    provider.release(disks)
    assert [thing.detail for thing in provider.leftovers(SCOPE) if thing.kind == DISK] == ["in use"]


def test_firewall_rules_of_another_region_are_left_to_their_own_location(
    make: MakeProvider, lab: GcpLab
) -> None:
    here, there = make(), make("europe-west4")
    here.create(offer(), batch())
    there.create(offer("europe-west4-a"), batch(token="token-1"))
    mine = {thing.id for thing in here.leftovers(SCOPE) if thing.kind == FIREWALL}
    theirs = {thing.id for thing in there.leftovers(SCOPE) if thing.kind == FIREWALL}
    assert len(mine) == len(theirs) == 2
    assert not mine & theirs
    assert mine | theirs == {f"{lab.project}/{name}" for name in lab.cloud.firewalls}


def test_rules_that_others_made_are_never_named(provider: GcpProvider, lab: GcpLab) -> None:
    for name, description in (("spotdeploy-x", "not json"), ("spotdeploy-y", '["list"]')):
        lab.cloud.firewalls[name] = {
            "kind": "compute#firewall",
            "name": name,
            "description": description,
        }
    assert provider.leftovers(SCOPE) == []


def test_released_rules_are_made_again_when_they_are_needed(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.destroy(provider.create(offer(), batch()).nodes)
    provider.release(provider.leftovers(SCOPE))
    assert lab.cloud.firewalls == {}
    provider.create(offer(), batch(token="token-1"))
    assert len(lab.cloud.firewalls) == 2


def test_what_a_person_types_names_zone_and_project(make: MakeProvider) -> None:
    provider = make(project="lab-project")
    (node,) = provider.create(offer(), batch()).nodes
    assert provider.manual_delete_command(node) == (
        f"gcloud compute instances delete {node.name} --zone {ZONE} --project lab-project"
    )
    instances, disks, rules = provider.manual_list_command(SCOPE).split("; ")
    filter_ = "list --filter 'labels.spotdeploy-deployment=shop' --project lab-project"
    assert instances == f"gcloud compute instances {filter_}"
    assert disks == f"gcloud compute disks {filter_}"
    assert "firewall-rules list --filter 'description~shop'" in rules
    disk = Resource(DISK, f"disks/{ZONE}/x", "gcp", REGION)
    assert "disks delete x --zone us-central1-a" in provider.manual_delete_command(disk)
    rule = Resource(FIREWALL, "spotdeploy-x", "gcp", REGION)
    assert "firewall-rules delete spotdeploy-x" in provider.manual_delete_command(rule)
