"""Listings that lose nothing, and calls that do not grow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import FateKind, Node, NodeState, Pool
from spotdeploy_gcp.api import read
from spotdeploy_gcp.nodes import STATES, ZonalId
from spotdeploy_gcp.provider import GcpProvider
from spotdeploy_gcp.schemas import AggregatedPage
from tests.labs.gcp import GcpLab
from tests.labs.gcp.answering import BEHAVIOURS
from tests.labs.gcp.call import Json
from tests.labs.gcp.discovery import enumeration
from tests.providers.gcp.conftest import REGION, SCOPE, SIZE, ZONE, MakeProvider, batch, offer

LIST = "compute.instances.aggregatedList"


def test_a_listed_node_has_all_that_the_core_reads(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    (node,) = provider.nodes(SCOPE)
    assert node.id == f"{lab.project}/{ZONE}/sd-token-0-0"
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


def test_regions_that_ask_at_the_same_time_share_one_listing(
    make: MakeProvider, lab: GcpLab
) -> None:
    here, there = make(), make("europe-west4")
    here.create(offer(), batch())
    there.create(offer("europe-west4-a"), batch(token="token-1"))
    lab.faults.unreachable.add("europe-west4-b")
    lab.forget_calls()
    together = threading.Barrier(2)

    def ask(provider: GcpProvider) -> list[Node] | Exception:
        together.wait()
        try:
            return list(provider.nodes(SCOPE))
        except ThrottledError as error:
            return error

    with ThreadPoolExecutor() as threads:
        mine, theirs = threads.map(ask, [here, there])
    assert [node.zone for node in mine] == [ZONE]  # type: ignore[union-attr]  # it is a list
    assert isinstance(theirs, ThrottledError)
    assert lab.called().count("instances.aggregatedList") == 1


def test_a_listing_is_never_older_than_its_question(provider: GcpProvider) -> None:
    for number in range(5):
        provider.create(offer(), batch(token=f"token-{number}"))
        assert len(provider.nodes(SCOPE)) == number + 1


def test_a_zone_that_cannot_be_asked_makes_the_listing_fail(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch())
    lab.faults.unreachable.add(ZONE)
    with pytest.raises(ThrottledError, match=ZONE):
        provider.nodes(SCOPE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "europe-west4-a",
        "us-central10-a",
        "projects/lab-project/regions/europe-west4",
        "projects/lab-project/zones/us-central2-ai1a",
    ],
)
def test_a_silent_zone_of_another_region_does_not_matter(
    provider: GcpProvider, lab: GcpLab, elsewhere: str
) -> None:
    lab.faults.unreachable.add(elsewhere)
    (node,) = provider.create(offer(), batch()).nodes
    assert [one.id for one in provider.nodes(SCOPE)] == [node.id]
    provider.destroy([node])
    assert provider.nodes(SCOPE) == []
    provider.release(provider.leftovers(SCOPE))
    assert lab.remains() == []


@pytest.mark.parametrize(
    "silent", ["us-central1-ai1a", "projects/lab-project/regions/us-central1", "something/else/new"]
)
def test_a_silent_scope_that_may_hold_something_of_ours_makes_the_listing_fail(
    provider: GcpProvider, lab: GcpLab, silent: str
) -> None:
    lab.faults.unreachable.add(silent)
    with pytest.raises(ThrottledError, match="cannot ask"):
        provider.nodes(SCOPE)


@pytest.mark.parametrize("code", ["UNREACHABLE", "PARTIAL_SUCCESS", "LIST_OVERHEAD_QUOTA_EXCEED"])
def test_a_page_that_says_it_lacks_something_is_not_whole(code: str) -> None:
    def page(**more: Json) -> AggregatedPage:
        return read({"kind": "compute#instanceAggregatedList", "items": {}, **more}, AggregatedPage)

    warning = {"code": code, "message": "some are missing"}
    assert page(warning=warning).unreached(REGION) == ["some are missing"]
    away = {**warning, "data": [{"key": "scope", "value": "zones/asia-east2-a"}]}
    assert page(warning=away).unreached(REGION) == []
    assert page(items={f"zones/{ZONE}": {"warning": warning}}).unreached(REGION) == [
        f"zones/{ZONE}"
    ]
    assert page(items={"zones/asia-east2-a": {"warning": warning}}).unreached(REGION) == []
    assert page(warning={"code": "DEPRECATED_TYPE_USED"}).unreached(REGION) == []


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


UNREADABLE = ["i-0123", "us-central1-a", "a/../b", "us-central1-a/UPPER", "", "a/b/c/d", "p/a/b\n"]


@pytest.mark.parametrize("id_", UNREADABLE)
def test_an_id_that_cannot_be_read_is_told_after_all_others_were_ended(
    provider: GcpProvider, lab: GcpLab, id_: str
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    strange = Node(id_, "x", "gcp", REGION, NodeState.RUNNING)
    with pytest.raises(ProviderError, match="is no id of Compute Engine"):
        provider.destroy([strange, node])
    assert lab.instances() == {}
    for ask in (provider.fate, provider.console):
        with pytest.raises(ProviderError, match="is no id of Compute Engine"):
            ask(strange)
    assert provider.manual_delete_command(strange) == f"delete {id_} in the console of gcp"


@pytest.mark.parametrize(
    ("id_", "parts"),
    [
        ("my-project-1/us-central1-ai1a/sd-x-0", ("my-project-1", "us-central1-ai1a", "sd-x-0")),
        ("example.com:old/europe-west12-b/a", ("example.com:old", "europe-west12-b", "a")),
        ("p1/zone-of-next-year-7xyz/sd-x", ("p1", "zone-of-next-year-7xyz", "sd-x")),
        ("us-east10-ai2c/sd-x-0", ("own", "us-east10-ai2c", "sd-x-0")),
    ],
)
def test_an_id_has_project_zone_and_name_apart(id_: str, parts: tuple[str, str, str]) -> None:
    place = ZonalId.parse(id_, "own")
    assert (place.project, place.zone, place.name) == parts
    assert ZonalId.parse(str(place), "another") == place


def test_what_is_in_a_zone_of_another_form_is_ended_and_has_a_fate(
    make: MakeProvider, lab: GcpLab
) -> None:
    provider = make(sizes=["g2-standard-4"], zones=["us-central1-ai1a"])
    (here,) = provider.offers(Pool(1))
    provider.create(here, batch())
    (node,) = provider.nodes(SCOPE)
    assert node.zone == "us-central1-ai1a"
    assert provider.fate(node).kind is FateKind.ALIVE
    assert "--zone us-central1-ai1a" in provider.manual_delete_command(node)
    lab.instance(node.name).properties["disks"][0]["autoDelete"] = False
    provider.destroy([node])
    assert lab.instances() == {}
    provider.release(provider.leftovers(SCOPE))
    assert lab.remains() == []
