"""Creating: what is asked for, what comes of it, and what goes wrong."""

from __future__ import annotations

import base64
import itertools
import json
import time

import pytest
from msgspec.structs import replace

from spotdeploy import labels
from spotdeploy.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.model import Market, NodeState
from spotdeploy.testing import ManualClock
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.call import ArmError, Json
from tests.labs.azure.faults import ALLOCATION, QUOTA, SKU, Trouble
from tests.labs.azure.handlers import DEPLOYMENT, GROUP
from tests.providers.azure.conftest import LABELS, SCOPE, SIZE, MakeProvider, batch, machine, offer

DEPLOY = f"PUT {DEPLOYMENT}"


def deployed(lab: AzureLab) -> Json:
    """The body of the only deployment."""
    (body,) = (call.body for call in lab.calls if call.operation == DEPLOY)
    return dict(body["properties"])


def test_a_batch_is_one_deployment_named_after_its_token(
    provider: AzureProvider, lab: AzureLab
) -> None:
    created = provider.create(offer(), batch(3))
    assert [node.name.rpartition("-")[2] for node in created.nodes] == ["1", "2", "3"]
    assert [call.names["2"] for call in lab.calls if call.operation == DEPLOY] == ["token-0"]
    assert deployed(lab)["mode"] == "Incremental"


def test_a_spot_node_is_deleted_when_it_is_evicted_and_has_no_price_limit(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    asked = machine(lab)
    assert (asked["priority"], asked["evictionPolicy"]) == ("Spot", "Delete")
    assert asked["billingProfile"] == {"maxPrice": -1}
    assert node.market is Market.SPOT


def test_a_price_limit_is_a_bid(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch(max_usd_per_hour=0.05))
    assert machine(lab)["billingProfile"] == {"maxPrice": 0.05}


def test_an_on_demand_node_has_nothing_of_spot(provider: AzureProvider, lab: AzureLab) -> None:
    (node,) = provider.create(offer(market=Market.ON_DEMAND), batch()).nodes
    assert not {"priority", "evictionPolicy", "billingProfile"} & machine(lab).keys()
    assert node.market is Market.ON_DEMAND


def test_labels_are_on_the_group_and_on_the_machine(make: MakeProvider, lab: AzureLab) -> None:
    make(tags={"team": "[edge]"}).create(offer(), batch())
    (one,) = lab.cloud.machines.values()
    assert one.body["tags"] == {**LABELS, "team": "[edge]"}
    of_run = {key: value for key, value in LABELS.items() if key != labels.BATCH}
    assert one.group.tags == {**of_run, "team": "[edge]"}


def test_a_policy_that_asks_for_tags_is_satisfied(make: MakeProvider, lab: AzureLab) -> None:
    lab.cloud.tag_policy = True
    make(tags={"costcenter": "42"}).create(offer(), batch(2))
    (group,) = lab.cloud.groups.values()
    asked = machine_configurations(lab)
    tagged = [*group.resources.values(), *asked, *(address_of(one) for one in asked)]
    assert len(tagged) == 2 + 2 + 2 + 2
    assert {one["tags"]["costcenter"] for one in tagged} == {"42"}


def test_a_cloud_that_takes_no_tags_on_interfaces_is_sent_none(
    make: MakeProvider, lab: AzureLab
) -> None:
    make(cloud="AzureUSGovernment", tags={"a": "b"}).create(offer(), batch())
    (interface,) = machine_configurations(lab)
    assert "tags" not in interface
    (sent,) = [one for one in deployed(lab)["template"]["resources"] if "copy" in one][:1]
    assert sent["apiVersion"] == "2024-03-01"


def machine_configurations(lab: AzureLab) -> list[Json]:
    return [one.interface for one in lab.cloud.machines.values()]


def address_of(interface: Json) -> Json:
    (one,) = interface["properties"]["ipConfigurations"]
    found: Json = one["properties"]["publicIPAddressConfiguration"]
    return found


def test_a_policy_that_refuses_is_told_with_what_it_refused(
    provider: AzureProvider, lab: AzureLab
) -> None:
    error = ArmError(403, "RequestDisallowedByPolicy", "was disallowed", target="/x/shop-1-nic")
    lab.faults.answer(DEPLOY, error)
    with pytest.raises(ProviderError, match="shop-1-nic: was disallowed") as caught:
        provider.create(offer(), batch())
    assert "provider.azure.tags" in str(caught.value.hint)


def test_interface_address_and_disk_go_with_the_machine(
    provider: AzureProvider, lab: AzureLab
) -> None:
    provider.create(offer(), batch())
    asked = machine(lab)
    (interface,) = asked["networkProfile"]["networkInterfaceConfigurations"]
    (address,) = interface["properties"]["ipConfigurations"]
    public = address["properties"]["publicIPAddressConfiguration"]
    assert asked["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    assert interface["properties"]["deleteOption"] == "Delete"
    assert public["properties"]["deleteOption"] == "Delete"


def test_user_data_is_a_secure_parameter_and_arrives_whole(
    provider: AzureProvider, lab: AzureLab
) -> None:
    data = bytes(range(256)) + b"[concat('x')]"
    (node,) = provider.create(offer(), batch(user_data=data)).nodes
    assert lab.machine(node.id).user_data == data
    template = json.dumps(deployed(lab)["template"])
    assert base64.b64encode(data).decode() not in template
    assert deployed(lab)["template"]["parameters"] == {"userData": {"type": "secureString"}}


def test_user_data_that_is_too_large_is_refused_with_both_sizes(provider: AzureProvider) -> None:
    with pytest.raises(ConfigError, match="65536 bytes; Azure takes 65535"):
        provider.create(offer(), batch(user_data=b"#" * 65536))


def test_nobody_has_the_key_or_a_password_of_the_account_that_azure_makes(
    provider: AzureProvider, lab: AzureLab
) -> None:
    provider.create(offer(), batch())
    system = machine(lab)["osProfile"]
    assert "adminPassword" not in system
    linux = system["linuxConfiguration"]
    assert linux["disablePasswordAuthentication"] is True
    (key,) = linux["ssh"]["publicKeys"]
    assert key["keyData"].startswith("ssh-rsa ")


def test_azure_is_asked_to_deallocate_each_node_when_its_life_ends(
    provider: AzureProvider, lab: AzureLab
) -> None:
    before = time.gmtime(time.time() + 5400)
    nodes = provider.create(offer(), batch(2, time_to_live=5400.0)).nodes
    after = time.gmtime(time.time() + 5400)
    (group,) = lab.cloud.groups.values()
    schedules = [one for one in group.resources.values() if "schedules" in one["type"]]
    assert len(schedules) == 2
    times = {one["properties"]["dailyRecurrence"]["time"] for one in schedules}
    assert times <= {time.strftime("%H%M", moment) for moment in (before, after)}
    targets = {one["properties"]["targetResourceId"].lower() for one in schedules}
    assert targets == {node.id.lower() for node in nodes}
    assert {one["properties"]["timeZoneId"] for one in schedules} == {"UTC"}


def test_a_node_that_nobody_comes_back_for_is_deallocated_when_its_life_ends(
    make: MakeProvider, lab: AzureLab, clock: ManualClock
) -> None:
    clock.sleep(time.time() - clock.now())
    provider = make()
    provider.create(offer(), batch(2, time_to_live=7200.0))
    clock.sleep(7000)
    assert {node.state for node in provider.nodes(SCOPE)} == {NodeState.RUNNING}
    clock.sleep(200)
    listed = provider.nodes(SCOPE)
    assert [node.cloud_state for node in listed] == ["deallocated"] * 2
    assert {node.state for node in listed} == {NodeState.STOPPED}


def test_a_long_life_has_no_schedule(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch(time_to_live=90000.0))
    (group,) = lab.cloud.groups.values()
    assert not any("schedules" in one["type"] for one in group.resources.values())


def test_a_zone_is_asked_for_when_the_offer_names_one(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(zone="2"), batch()).nodes
    assert node.zone == "2"


def test_create_waits_for_a_place_and_not_for_boot(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.timing.booting = 3600.0
    before = clock.now()
    (node,) = provider.create(offer(), batch()).nodes
    assert clock.now() - before < 30
    assert node.state in (NodeState.PENDING, NodeState.RUNNING)


def test_a_partial_fill_says_why_in_azures_words_and_leaves_nothing_half_made(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.faults.limit(2)
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 2
    assert f"AllocationFailed: {ALLOCATION.words}" in str(created.shortfall)
    assert lab.cloud.machines.keys() == {node.id.lower() for node in created.nodes}


@pytest.mark.parametrize("preflight", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SkuNotAvailable", CapacityError),
        ("AllocationFailed", CapacityError),
        ("ZonalAllocationFailed", CapacityError),
        ("OverconstrainedAllocationRequest", CapacityError),
        ("OverconstrainedZonalAllocationRequest", CapacityError),
        ("SpotPriceGreaterThanProvidedMaxPrice", CapacityError),
        ("QuotaExceeded", QuotaError),
        ("SomethingNew", ProviderError),
        ("InternalServerError", None),
    ],
)
def test_a_refusal_is_typed_by_azures_code_and_keeps_its_words(
    provider: AzureProvider,
    lab: AzureLab,
    preflight: bool,
    code: str,
    kind: type[ProviderError] | None,
) -> None:
    kind = kind or (LostReplyError if preflight else ProviderError)
    lab.faults.limit(0, trouble=Trouble(code, "Azure's own message"), preflight=preflight)
    with pytest.raises(ProviderError) as caught:
        provider.create(offer(), batch(2))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert f"{code}: Azure's own message" in caught.value.message
    assert lab.cloud.machines == {}


@pytest.mark.parametrize(
    "message",
    [
        "Operation could not be completed as it results in exceeding approved quota.",
        "The limit of Spot vCPUs is reached.",
    ],
)
def test_not_allowed_because_of_a_quota_is_a_quota(
    provider: AzureProvider, lab: AzureLab, message: str
) -> None:
    lab.faults.limit(0, trouble=Trouble("OperationNotAllowed", message), preflight=True)
    with pytest.raises(QuotaError, match=r"Quotas|quota|limit") as caught:
        provider.create(offer(), batch())
    assert caught.value.hint
    lab.faults.clear()
    lab.faults.limit(0, trouble=Trouble("OperationNotAllowed", "No, never."), preflight=True)
    with pytest.raises(ProviderError, match="No, never") as other:
        provider.create(offer(), batch(token="token-1"))
    assert type(other.value) is ProviderError


def test_after_a_refusal_another_size_works_in_the_same_group(
    provider: AzureProvider, lab: AzureLab, make: MakeProvider
) -> None:
    other = "Standard_D2s_v5"
    provider = make(sizes=[SIZE, other])
    lab.faults.limit(0, size=SIZE, trouble=SKU)
    with pytest.raises(CapacityError):
        provider.create(offer(), batch(2))
    created = provider.create(offer(other), batch(2, token="token-1"))
    assert len(created.nodes) == 2
    assert len(lab.cloud.groups) == 1


def test_a_full_quota_names_azures_numbers(provider: AzureProvider, lab: AzureLab) -> None:
    lab.faults.limit(0, trouble=QUOTA, preflight=True)
    with pytest.raises(QuotaError, match="Current Limit: 3, Current Usage: 2"):
        provider.create(offer(), batch(2))


def test_the_same_token_deploys_once(provider: AzureProvider, lab: AzureLab) -> None:
    first = provider.create(offer(), batch(2))
    again = provider.create(offer(), batch(2))
    assert {node.id for node in again.nodes} == {node.id for node in first.nodes}
    assert sum(call.operation == DEPLOY for call in lab.calls) == 1


def test_a_lost_answer_is_reported_and_the_same_token_finds_what_was_made(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.faults.lose_reply(DEPLOY)
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert len(provider.create(offer(), batch(2)).nodes) == 2
    assert len(lab.cloud.machines) == 2


def test_a_lost_request_is_not_repeated_because_libcloud_was_told_to_retry(
    provider: AzureProvider, lab: AzureLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS", "1")
    lab.faults.lose_request(DEPLOY)
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert sum(call.operation == DEPLOY for call in lab.calls) == 1


def test_a_lost_request_makes_nothing_and_is_asked_again(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.faults.lose_request(DEPLOY)
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert lab.cloud.machines == {}
    assert len(provider.create(offer(), batch(2)).nodes) == 2


def test_a_lost_answer_to_making_the_group_may_simply_be_repeated(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.faults.lose_reply(f"PUT {GROUP}")
    with pytest.raises(ThrottledError):
        provider.create(offer(), batch())
    assert len(provider.create(offer(), batch()).nodes) == 1


def test_a_group_that_is_going_is_waited_for(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.timing.group_going = 60.0
    provider.destroy(provider.create(offer(), batch()).nodes)
    before = clock.now()
    (node,) = provider.create(offer(), batch(token="token-1")).nodes
    assert clock.now() - before >= 60
    assert node.id.lower() in lab.cloud.machines


def test_nodes_that_listings_still_lack_are_given_all_the_same(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.timing.listing_delay = 3600.0
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 3
    assert created.shortfall is None
    assert provider.nodes(SCOPE) == []


def test_a_machine_that_is_evicted_at_once_is_no_node(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.timing.deploying = 0.0
    lab.timing.booting = 60.0
    lab.cloud.on_change.append(lambda: _evict(lab, "-2", 3600))
    created = provider.create(offer(), batch(2))
    assert len(created.nodes) == 1
    assert "Deleting" in str(created.shortfall)


def _evict(lab: AzureLab, which: str, seconds: float) -> None:
    for one in lab.cloud.machines.values():
        if one.name.endswith(which) and one.ends_at is None:
            one.ends_at = one.made_at + seconds


def test_azure_that_finds_no_place_in_time_is_out_of_capacity_and_makes_none_later(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.timing.allocating = 7200.0
    with pytest.raises(CapacityError, match="in 600 s"):
        provider.create(offer(), batch(2))
    assert lab.cloud.machines == {}
    (deployment,) = lab.cloud.deployments.values()
    assert deployment.cancelled


def test_a_large_batch_is_several_deployments(provider: AzureProvider, lab: AzureLab) -> None:
    created = provider.create(offer(), batch(401))
    assert len(created.nodes) == 401
    names = [call.names["2"] for call in lab.calls if call.operation == DEPLOY]
    assert names == ["token-0", "token-0-1"]


def test_a_refused_second_part_leaves_the_first(provider: AzureProvider, lab: AzureLab) -> None:
    lab.faults.refuse(DEPLOY, 400, "SkuNotAvailable", "no more")
    lab.faults.queue[-1].when = lambda call: call.names["2"].endswith("-1")
    created = provider.create(offer(), batch(401))
    assert len(created.nodes) == 399
    assert "SkuNotAvailable: no more" in str(created.shortfall)


def test_a_token_of_64_characters_still_names_a_deployment(
    provider: AzureProvider, lab: AzureLab
) -> None:
    long = batch(token="t" * 64, labels={**LABELS, labels.BATCH: "short"})
    (node,) = provider.create(offer(), long).nodes
    other = replace(long, token="t" * 63 + "u", labels={**LABELS, labels.BATCH: "other"})
    assert provider.create(offer(), other).nodes[0].name != node.name
    assert all(len(call.names["2"]) <= 64 for call in lab.calls if call.operation == DEPLOY)


def test_a_group_that_azure_does_not_know_yet_is_waited_for(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.faults.unknown_until = clock.now() + 40
    assert len(provider.create(offer(), batch(2)).nodes) == 2
    assert len(lab.cloud.groups) == 1


def test_a_group_that_stays_unknown_is_a_reason_to_try_again_later(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.faults.unknown_until = clock.now() + 3600
    with pytest.raises(ThrottledError, match="could not be found"):
        provider.create(offer(), batch(2))
    lab.faults.clear()
    assert len(provider.create(offer(), batch(2)).nodes) == 2


def test_a_group_that_is_not_known_proves_nothing_of_its_nodes(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.faults.unknown_until = clock.now() + 3600
    for ask in (lambda: provider.nodes(SCOPE), lambda: provider.fate(node)):
        with pytest.raises(ThrottledError, match="does not find it yet"):
            ask()


@pytest.mark.parametrize("market", list(Market))
def test_a_deployment_that_azure_gives_up_for_another_is_out_of_capacity(
    provider: AzureProvider, lab: AzureLab, market: Market
) -> None:
    words = "The operation has been preempted by a more recent operation."
    lab.faults.limit(0, trouble=Trouble("OperationPreempted", words))
    with pytest.raises(CapacityError, match="OperationPreempted: The operation") as caught:
        provider.create(offer(market=market), batch(2))
    assert caught.value.reach is Reach.OFFER
    assert lab.cloud.machines == {}


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_machine_that_is_taken_back_while_it_is_made_is_a_lack_of_capacity(
    provider: AzureProvider, lab: AzureLab, seconds: float
) -> None:
    lab.timing.booting = 60.0
    lab.cloud.on_change.append(lambda: _evict(lab, "-1", seconds))
    with pytest.raises(CapacityError, match=r"Deleting|Gone"):
        provider.create(offer(), batch())


def test_waiting_counts_the_time_that_calls_take(
    provider: AzureProvider, lab: AzureLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.timing.allocating = 7200.0
    ticks = itertools.count(step=60)
    monkeypatch.setattr("spotdeploy_azure.create.time.monotonic", lambda: float(next(ticks)))
    before = lab.cloud.now
    with pytest.raises(CapacityError, match="in 600 s"):
        provider.create(offer(), batch())
    assert lab.cloud.now - before < 120


@pytest.mark.parametrize("code", ["MissingSubscriptionRegistration", "AuthorizationFailed"])
def test_what_the_subscription_may_not_do_stops_the_run_with_a_remedy(
    provider: AzureProvider, lab: AzureLab, code: str
) -> None:
    lab.faults.refuse(DEPLOY, 409, code, "Azure's own message")
    with pytest.raises(CredentialsError, match="Azure's own message") as caught:
        provider.create(offer(), batch())
    assert caught.value.hint
