"""Creating: what is asked for, what comes of it, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy import labels
from spotdeploy.errors import (
    CapacityError,
    ConfigError,
    LostReplyError,
    ProviderError,
    QuotaError,
    ThrottledError,
)
from spotdeploy.model import Market, NodeState
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.labs.gcp.faults import QUOTA, Trouble
from tests.providers.gcp.conftest import LABELS, SCOPE, ZONE, MakeProvider, batch, offer

INSERT = "compute.instances.bulkInsert"


def asked(lab: GcpLab) -> dict[str, Any]:
    """The body of the only bulk insert."""
    (body,) = (call.body for call in lab.calls if call.method == INSERT)
    return dict(body)


def properties(lab: GcpLab) -> dict[str, Any]:
    """What every instance was asked to be."""
    return dict(asked(lab)["instanceProperties"])


def test_a_batch_is_one_bulk_insert_with_names_of_the_token(
    provider: GcpProvider, lab: GcpLab
) -> None:
    created = provider.create(offer(), batch(3))
    assert [node.name for node in created.nodes] == [f"sd-token-0-{n}" for n in range(3)]
    assert lab.called().count("instances.bulkInsert") == 1
    assert (asked(lab)["count"], asked(lab)["minCount"]) == ("3", "1")


def test_a_spot_node_is_deleted_when_it_is_preempted_or_its_time_is_over(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=5400.0))
    assert properties(lab)["scheduling"] == {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": "5370"},
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
    }


def test_an_on_demand_node_has_the_same_time_to_live(provider: GcpProvider, lab: GcpLab) -> None:
    (node,) = provider.create(offer(market=Market.ON_DEMAND), batch()).nodes
    scheduling = properties(lab)["scheduling"]
    assert scheduling["provisioningModel"] == "STANDARD"
    assert scheduling["maxRunDuration"] == {"seconds": "7170"}
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert node.market is Market.ON_DEMAND


def test_google_ends_a_node_before_it_powers_itself_off_and_leaves_its_disk(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=50.0))
    assert properties(lab)["scheduling"]["maxRunDuration"] == {"seconds": "30"}


def test_google_deletes_a_node_whose_time_to_live_is_over(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=90.0))
    now = lab.timing.clock()
    lab.timing.clock = lambda: now + 59
    assert len(provider.nodes(SCOPE)) == 1
    lab.timing.clock = lambda: now + 70
    assert provider.nodes(SCOPE) == []


def test_labels_are_on_the_instance_and_on_its_disk(make: MakeProvider, lab: GcpLab) -> None:
    make(labels={"team": "edge"}).create(offer(), batch())
    expected = {**LABELS, "team": "edge"}
    (disk,) = properties(lab)["disks"]
    assert properties(lab)["labels"] == expected
    assert disk["initializeParams"]["labels"] == expected
    assert disk["autoDelete"] is True


def test_no_key_of_the_project_logs_in_and_no_service_account_is_lent(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch())
    metadata = {item["key"]: item["value"] for item in properties(lab)["metadata"]["items"]}
    assert metadata["block-project-ssh-keys"] == "true"
    assert metadata["user-data"] == "#cloud-boothook\n#!/bin/sh\ntrue\n"
    assert "serviceAccounts" not in properties(lab)


def test_the_shielded_defaults_of_the_image_are_kept(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    assert "shieldedInstanceConfig" not in properties(lab)


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08compressed\xff", b"with \0 in it"])
def test_user_data_that_is_no_text_goes_as_base64(
    provider: GcpProvider, lab: GcpLab, data: bytes
) -> None:
    provider.create(offer(), batch(user_data=data))
    metadata = {item["key"]: item["value"] for item in properties(lab)["metadata"]["items"]}
    assert metadata["user-data-encoding"] == "base64"


def test_private_nodes_get_no_public_address(make: MakeProvider, lab: GcpLab) -> None:
    provider = make(address="private", subnetwork="inner")
    (node,) = provider.create(offer(), batch(allow_from=("10.0.0.0/8",))).nodes
    (interface,) = properties(lab)["networkInterfaces"]
    assert "accessConfigs" not in interface
    assert interface["subnetwork"].endswith("/regions/us-central1/subnetworks/inner")
    assert node.address == node.private_address


def test_user_data_that_is_too_large_is_refused_with_both_sizes(provider: GcpProvider) -> None:
    with pytest.raises(ConfigError, match="196609 bytes; Compute Engine takes 196608"):
        provider.create(offer(), batch(user_data=b"#" * 196609))


def test_a_time_to_live_that_google_does_not_take_is_refused(provider: GcpProvider) -> None:
    with pytest.raises(ConfigError, match="120 days"):
        provider.create(offer(), batch(time_to_live=121 * 86400.0))


def test_a_partial_fill_gives_googles_reason(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.limit(2)
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 2
    assert "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone does not" in str(created.shortfall)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble("ZONE_RESOURCE_POOL_EXHAUSTED", "no room"), CapacityError),
        (Trouble("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "no room"), CapacityError),
        (QUOTA, QuotaError),
        (Trouble("RATE_LIMIT_EXCEEDED", "too fast"), CapacityError),
        (Trouble("SOMETHING_NEW", "message"), ProviderError),
    ],
)
@pytest.mark.parametrize("unlisted", [False, True])
def test_a_failed_bulk_insert_raises_the_cause_with_code_and_message(
    provider: GcpProvider, lab: GcpLab, trouble: Trouble, kind: type[Exception], unlisted: bool
) -> None:
    lab.faults.limit(0, trouble=trouble)
    lab.faults.unlisted_cause = unlisted
    with pytest.raises(ProviderError) as caught:
        provider.create(offer(), batch(2))
    assert type(caught.value) is kind
    assert caught.value.code == trouble.code
    assert f"{trouble.code}: {trouble.words}" in caught.value.message
    assert "VM_MIN_COUNT_NOT_REACHED" in caught.value.message
    assert lab.instances() == {}


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "quotaExceeded", QuotaError),
        (503, "insufficientCapacity", CapacityError),
        (403, "rateLimitExceeded", ThrottledError),
        (429, "rateLimitExceeded", ThrottledError),
        (503, "backendError", LostReplyError),
        (400, "invalid", ProviderError),
    ],
)
def test_a_refused_bulk_insert_is_typed_by_googles_reason(
    provider: GcpProvider, lab: GcpLab, status: int, reason: str, kind: type[Exception]
) -> None:
    lab.faults.refuse(INSERT, status, reason, "Google's own message")
    with pytest.raises(ProviderError, match="Google's own message") as caught:
        provider.create(offer(), batch())
    assert type(caught.value) is kind
    assert caught.value.code == reason


def test_zones_can_be_tried_in_order(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.limit(0, zone=ZONE)
    with pytest.raises(CapacityError):
        provider.create(offer(), batch())
    (node,) = provider.create(offer("us-central1-b"), batch(token="token-1")).nodes
    assert node.zone == "us-central1-b"


def test_the_same_token_is_the_same_request_id(provider: GcpProvider, lab: GcpLab) -> None:
    first = provider.create(offer(), batch(2))
    assert provider.create(offer(), batch(2)) == first
    ids = [call.query["requestId"] for call in lab.calls if call.method == INSERT]
    assert ids[0] == ids[1]
    assert len(lab.instances()) == 2


def test_the_same_token_finds_its_nodes_when_google_has_forgotten_the_request(
    provider: GcpProvider, lab: GcpLab
) -> None:
    first = provider.create(offer(), batch(2))
    lab.cloud.requests.clear()
    assert {n.id for n in provider.create(offer(), batch(2)).nodes} == {n.id for n in first.nodes}
    assert len(lab.instances()) == 2


def test_a_lost_request_makes_nothing_and_is_asked_again(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.faults.lose_request(INSERT)
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert lab.instances() == {}
    assert len(provider.create(offer(), batch(2)).nodes) == 2


def test_a_lost_answer_to_a_wait_is_not_a_lost_create(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.lose_reply("compute.zoneOperations.wait")
    with pytest.raises(ThrottledError):
        provider.create(offer(), batch(2))
    assert len(provider.create(offer(), batch(2)).nodes) == 2
    assert len(lab.instances()) == 2


def test_a_wait_that_ends_early_is_repeated(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    lab.timing.longest_wait = 0.0
    lab.timing.operation = 0.5
    assert len(provider.create(offer(), batch(token="token-1")).nodes) == 1
    assert lab.called().count("zoneOperations.wait") >= 3


def test_nodes_that_listings_still_lack_are_given_all_the_same(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.timing.listing_delay = 3600.0
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 3
    assert created.shortfall is None
    assert provider.nodes(SCOPE) == []


def test_a_slow_boot_is_pending(provider: GcpProvider, lab: GcpLab) -> None:
    lab.timing.boot = 3600.0
    (node,) = provider.create(offer(), batch()).nodes
    assert node.state is NodeState.PENDING


def test_a_remembered_image_that_is_gone_is_looked_up_again(
    provider: GcpProvider, lab: GcpLab
) -> None:
    images = provider._cloud.images
    gone = "https://www.googleapis.com/compute/v1/projects/ubuntu-os-cloud/global/images/gone"
    images._cache.put(images._key("X86_64"), {"url": gone})
    (node,) = provider.create(offer(), batch()).nodes
    assert node.name in lab.instances()


def test_a_token_of_64_characters_still_names_instances(provider: GcpProvider) -> None:
    long = batch(token="t" * 64, labels={**LABELS, labels.BATCH: "short"})
    (node,) = provider.create(offer(), long).nodes
    assert len(node.name) <= 63
    other = replace(long, token="t" * 63 + "u", labels={**LABELS, labels.BATCH: "other"})
    assert provider.create(offer(), other).nodes[0].name != node.name


def test_a_batch_of_more_than_a_thousand_is_several_calls(
    provider: GcpProvider, lab: GcpLab
) -> None:
    created = provider.create(offer(), batch(1001))
    assert len(created.nodes) == 1001
    assert lab.called().count("instances.bulkInsert") == 2
