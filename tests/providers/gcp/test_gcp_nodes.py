"""Listings that lose nothing, and calls that do not grow."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Node, NodeState
from spotdeploy_gcp.nodes import STATES, split_id
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.labs.gcp.answering import BEHAVIOURS
from tests.labs.gcp.call import Json
from tests.labs.gcp.discovery import enumeration
from tests.providers.gcp.conftest import REGION, SCOPE, SIZE, ZONE, MakeProvider, batch, offer

LIST = "compute.instances.aggregatedList"


def test_a_listed_node_has_all_that_the_core_reads(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    (node,) = provider.nodes(SCOPE)
    assert node.id == f"{ZONE}/sd-token-0-0"
    assert (node.location, node.zone, node.size) == (REGION, ZONE, SIZE)
    assert (node.state, node.cloud_state) == (NodeState.RUNNING, "RUNNING")
    assert node.created_at == pytest.approx(lab.timing.clock(), abs=60)
    assert node.address == lab.instance(node.name).public
    assert node.private_address == lab.instance(node.name).private


def test_a_listing_follows_every_page(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch(7))
    lab.cloud.page = 2
    lab.forget_calls()
    assert len(provider.nodes(SCOPE)) == 7
    assert lab.called() == ["instances.aggregatedList"] * 4


def test_five_hundred_nodes_are_one_call(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch(500))
    lab.forget_calls()
    assert len(provider.nodes(SCOPE)) == 500
    assert len(lab.requests) == 1


def test_nodes_of_other_regions_are_left_to_their_own_location(make: MakeProvider) -> None:
    here, there = make(), make("europe-west4")
    here.create(offer(), batch())
    there.create(offer("europe-west4-a"), batch(token="token-1"))
    assert {node.zone for node in here.nodes(SCOPE)} == {ZONE}
    assert {node.zone for node in there.nodes(SCOPE)} == {"europe-west4-a"}


def test_a_zone_that_cannot_be_asked_makes_the_listing_fail(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch())
    lab.faults.unreachable.add(ZONE)
    with pytest.raises(ThrottledError, match=ZONE):
        provider.nodes(SCOPE)


def test_a_silent_zone_of_another_region_does_not_matter(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.faults.unreachable.add("europe-west4-a")
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize("body", [{}, {"kind": "compute#operation"}, {"kind": "compute#instance"}])
def test_an_answer_of_another_kind_is_never_an_empty_listing(
    provider: GcpProvider, lab: GcpLab, monkeypatch: pytest.MonkeyPatch, body: Json
) -> None:
    monkeypatch.setitem(BEHAVIOURS, LIST, lambda cloud, call: body)
    with pytest.raises(ProviderError, match=r"not a list|not as documented"):
        provider.nodes(SCOPE)
    lab.wrong.clear()


def test_a_preempted_machine_that_stays_terminated_counts_as_existing_until_deleted(
    provider: GcpProvider, lab: GcpLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.instance(node.name).scheduling["instanceTerminationAction"] = "STOP"
    lab.interrupt(node.name)
    (left,) = provider.nodes(SCOPE)
    assert (left.state, left.cloud_state) == (NodeState.STOPPED, "TERMINATED")
    assert [thing.kind for thing in provider.leftovers(SCOPE)].count("disk") == 1
    provider.destroy([left])
    assert provider.nodes(SCOPE) == []
    assert "disk" not in [thing.kind for thing in provider.leftovers(SCOPE)]


def test_a_node_that_is_being_deleted_is_going(provider: GcpProvider, lab: GcpLab) -> None:
    lab.timing.going = 3600.0
    provider.destroy(provider.create(offer(), batch()).nodes)
    (node,) = provider.nodes(SCOPE)
    assert (node.state, node.cloud_state) == (NodeState.GOING, "STOPPING")


def test_every_state_that_google_documents_is_known() -> None:
    assert set(STATES) == set(enumeration("Instance", "status"))


def test_no_state_means_gone() -> None:
    assert NodeState.GONE not in STATES.values()


@pytest.mark.parametrize("id_", ["i-0123", "us-central1-a", "a/../b", "us-central1-a/UPPER", ""])
def test_an_id_that_no_instance_can_have_is_nothing_to_destroy(
    provider: GcpProvider, lab: GcpLab, id_: str
) -> None:
    provider.destroy([Node(id_, "x", "gcp", REGION, NodeState.RUNNING)])
    assert split_id(id_) is None
    assert lab.requests == []
