"""What listings show, and that they lose nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from spotdeploy import labels
from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import NodeState
from spotdeploy.testing import ManualClock
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.faults import Trouble
from tests.labs.azure.handlers import GROUP, PAGE
from tests.providers.azure.conftest import LABELS, SCOPE, MakeProvider, batch, offer

LIST = f"GET {GROUP}/providers/microsoft.compute/virtualmachines"


def test_every_page_is_read(provider: AzureProvider, lab: AzureLab) -> None:
    created = provider.create(offer(), batch(2 * PAGE + 1))
    lab.forget_calls()
    found = provider.nodes(SCOPE)
    assert {node.id for node in found} == {node.id for node in created.nodes}
    assert all(node.address and node.state is NodeState.RUNNING for node in found)
    assert sum(call.operation == LIST for call in lab.calls) == 3


def test_a_listing_of_nothing_is_one_call(provider: AzureProvider, lab: AzureLab) -> None:
    assert provider.nodes(SCOPE) == []
    assert len(lab.calls) == 1


def test_a_listing_of_a_run_is_five_calls(provider: AzureProvider, lab: AzureLab) -> None:
    provider.create(offer(), batch(7))
    lab.forget_calls()
    assert len(provider.nodes(SCOPE)) == 7
    assert len(lab.calls) == 5


def test_other_locations_are_not_listed(provider: AzureProvider, make: MakeProvider) -> None:
    provider.create(offer(), batch())
    elsewhere = make("westeurope")
    assert elsewhere.nodes(SCOPE) == []
    assert elsewhere.leftovers(SCOPE) == []


def test_nodes_of_a_batch_are_found_by_its_label_alone(provider: AzureProvider) -> None:
    provider.create(offer(), batch(2))
    (other,) = provider.create(offer(), batch(token="token-1")).nodes
    assert [node.id for node in provider.nodes({labels.BATCH: "token-1"})] == [other.id]


def test_a_machine_that_lost_its_own_tags_is_still_one_of_its_run(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.machine(node.id).body["tags"] = {}
    assert [one.id for one in provider.nodes(SCOPE)] == [node.id]


def test_ids_have_one_spelling_however_azure_spells_them(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (created,) = provider.create(offer(), batch()).nodes
    (listed,) = provider.nodes(SCOPE)
    assert listed.id == created.id
    answers = [call.names["1"] for call in lab.calls if call.operation == LIST]
    assert answers
    assert "SPOTDEPLOY" not in created.id


def test_a_node_has_azures_own_time(provider: AzureProvider, clock: ManualClock) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    assert node.created_at is not None
    assert abs(node.created_at - clock.now()) < 60


def test_a_machine_that_could_not_be_made_exists_until_it_is_deleted(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.machine(node.id).trouble = Trouble("AllocationFailed", "no room")
    (listed,) = provider.nodes(SCOPE)
    assert listed.state is NodeState.STOPPED
    assert listed.cloud_state == "failed"


def test_new_groups_may_be_missing_for_a_while(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.timing.listing_delay = 20.0
    provider.create(offer(), batch())
    assert provider.nodes(SCOPE) == []
    clock.sleep(provider.settle_seconds)
    assert len(provider.nodes(SCOPE)) == 1


@pytest.mark.parametrize("seconds", [15, 600])
def test_throttling_says_when_to_come_back_and_waits_for_nothing(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock, seconds: int
) -> None:
    lab.faults.throttle(seconds=seconds)
    before = clock.now()
    with pytest.raises(ThrottledError, match=str(seconds)) as caught:
        provider.nodes(SCOPE)
    assert caught.value.retry_after == seconds
    assert clock.now() == before
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_asks_for_patience(
    provider: AzureProvider, lab: AzureLab, status: int
) -> None:
    lab.faults.refuse("", status, "InternalServerError", "Encountered an error.")
    with pytest.raises(ThrottledError, match="Encountered an error"):
        provider.nodes(SCOPE)


def test_an_answer_of_another_shape_is_never_an_empty_list(
    provider: AzureProvider, lab: AzureLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.labs.azure import group_handlers
    from tests.labs.azure.call import answer

    monkeypatch.setattr(
        group_handlers.GroupHandlers, "_list_groups", lambda *_: answer({"values": []})
    )
    with pytest.raises(ProviderError, match="not as documented"):
        provider.nodes(SCOPE)
    lab.wrong.clear()


def test_leftovers_carry_their_labels(provider: AzureProvider) -> None:
    provider.create(offer(), batch())
    (group,) = provider.leftovers(SCOPE)
    of_run = {key: value for key, value in LABELS.items() if key != labels.BATCH}
    assert group.labels == of_run
    other = replace(batch(), labels={**LABELS, labels.DEPLOYMENT: "other"})
    provider.create(offer(), other)
    assert provider.leftovers(SCOPE) == [group]
