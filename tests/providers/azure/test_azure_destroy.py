"""Ending nodes and releasing what they leave."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import NodeState
from spotdeploy.testing import ManualClock
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.cloud import LISTINGS
from tests.labs.azure.faults import Trouble
from tests.labs.azure.handlers import GROUP, MACHINE
from tests.labs.azure.lab import SUBSCRIPTION
from tests.providers.azure.conftest import GROUP as RUN_GROUP
from tests.providers.azure.conftest import SCOPE, MakeProvider, batch, offer


def test_deleting_a_vm_leaves_nic_ip_and_disk_so_one_resource_group_per_run_is_deleted_whole(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    provider.create(offer(), batch(2, token="token-1"))
    (group,) = lab.cloud.groups
    assert group == RUN_GROUP
    kinds = {id_.lower().rpartition("/providers/")[2].split("/")[1] for id_ in lab.remains()[1:]}
    assert kinds == {
        "disks",
        "networkinterfaces",
        "networksecuritygroups",
        "publicipaddresses",
        "schedules",
        "virtualmachines",
        "virtualnetworks",
    }
    lab.forget_calls()
    provider.destroy([*nodes, *provider.nodes(SCOPE)])
    assert lab.called().count("DELETE resourcegroups") == 1
    assert "DELETE virtualmachines" not in lab.called()
    clock.sleep(60)
    assert lab.remains() == []


def test_stopped_is_still_billed_and_deallocated_is_not_and_both_count_as_existing(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    stopped, deallocated = provider.create(offer(), batch(2)).nodes
    lab.power(stopped.id, "stopped")
    lab.power(deallocated.id, "deallocated")
    listed = {node.id: node for node in provider.nodes(SCOPE)}
    assert {node.state for node in listed.values()} == {NodeState.STOPPED}
    assert listed[stopped.id].cloud_state == "stopped"
    assert listed[deallocated.id].cloud_state == "deallocated"
    provider.destroy([stopped, deallocated])
    clock.sleep(60)
    assert lab.remains() == []


def test_nodes_of_a_group_that_is_going_are_going_until_they_are_gone(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    lab.timing.going, lab.timing.group_going = 10.0, 20.0
    provider.destroy(provider.create(offer(), batch(2)).nodes)
    assert [node.state for node in provider.nodes(SCOPE)] == [NodeState.GOING] * 2
    clock.sleep(11)
    assert provider.nodes(SCOPE) == []
    (group,) = provider.leftovers(SCOPE)
    assert group.detail == "Deleting"
    lab.forget_calls()
    provider.release([group])
    assert lab.called() == []
    clock.sleep(11)
    assert provider.leftovers(SCOPE) == []


def test_some_of_a_group_go_one_by_one_each_with_all_that_is_its_own(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    first, second, third = provider.create(offer(), batch(3)).nodes
    lab.forget_calls()
    provider.destroy([first, third])
    assert lab.called().count("DELETE virtualmachines") == 2
    clock.sleep(60)
    assert not any(name in str(lab.remains()) for name in (f"{first.name}-nic", third.name + "-ip"))
    assert {node.id for node in provider.nodes(SCOPE)} == {second.id}


def test_the_last_node_takes_the_group_with_it(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    first, second = provider.create(offer(), batch(2)).nodes
    provider.destroy([first])
    provider.destroy([second])
    clock.sleep(60)
    assert lab.remains() == []


def test_a_locked_node_is_named_after_all_others_were_ended(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    first, stubborn, third = provider.create(offer(), batch(3)).nodes
    lab.faults.locked.add(stubborn.id.lower())
    with pytest.raises(ProviderError, match="ScopeLocked") as caught:
        provider.destroy([first, stubborn, third])
    assert caught.value.hint == "remove the lock with 'az lock delete', then try again"
    clock.sleep(60)
    assert lab.ids() == [stubborn.id.lower()]


def test_one_throttled_node_does_not_keep_the_others(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    first, second, third, _ = provider.create(offer(), batch(4)).nodes
    lab.faults.throttle(f"DELETE {MACHINE}", seconds=3600)
    with pytest.raises(ThrottledError):
        provider.destroy([first, second, third])
    clock.sleep(60)
    assert len(lab.ids()) == 2


def test_nodes_of_several_runs_are_ended_together(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    old = batch(token="token-9")
    old = replace(old, labels={**old.labels, "spotdeploy-run": "20250101-000000-ffffff"})
    nodes = [*provider.create(offer(), batch(2)).nodes, *provider.create(offer(), old).nodes]
    provider.destroy(nodes)
    clock.sleep(60)
    assert lab.remains() == []


def test_a_node_of_another_cloud_names_nothing(provider: AzureProvider, lab: AzureLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.forget_calls()
    provider.destroy([replace(node, id="i-0123456789")])
    assert lab.calls == []


def test_refused_credentials_stop_the_destroy(provider: AzureProvider, lab: AzureLab) -> None:
    nodes = provider.create(offer(), batch(2)).nodes
    lab.revoke()
    with pytest.raises(CredentialsError):
        provider.destroy(nodes)


def test_a_group_without_machines_is_left_over_and_released(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    for node in provider.create(offer(), batch(2)).nodes:
        lab.delete(node.id)
    clock.sleep(60)
    assert provider.nodes(SCOPE) == []
    (group,) = provider.leftovers(SCOPE)
    assert (group.kind, group.id) == ("resource group", RUN_GROUP)
    provider.release([group])
    clock.sleep(60)
    assert lab.remains() == []


def test_a_group_with_a_stopped_node_is_not_released(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.power(node.id, "stopped")
    lab.forget_calls()
    provider.release(provider.leftovers(SCOPE))
    assert "DELETE resourcegroups" not in lab.called()


def test_what_cannot_be_released_is_reported_after_the_others_were_tried(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.faults.refuse(f"DELETE {GROUP}", 409, "ScopeLocked", "locked")
    for run in ("one", "two"):
        request = batch(token=run)
        labels = {**request.labels, "spotdeploy-run": run}
        for node in provider.create(offer(), replace(request, labels=labels)).nodes:
            lab.delete(node.id)
    with pytest.raises(ProviderError, match="locked"):
        provider.release(provider.leftovers(SCOPE))
    assert lab.called().count("DELETE resourcegroups") == 2


def test_a_group_is_deleted_by_force_for_speed(provider: AzureProvider, lab: AzureLab) -> None:
    provider.destroy(provider.create(offer(), batch()).nodes)
    (call,) = (call for call in lab.calls if call.operation == f"DELETE {GROUP}")
    assert call.query["forceDeletionTypes"] == "Microsoft.Compute/virtualMachines"


def close_compute(provider: AzureProvider, lab: AzureLab, clock: ManualClock) -> None:
    """Let Compute refuse to list anything for 1235 s."""
    lab.faults.closed_until = clock.now() + 1235
    provider._cloud.nodes.clock = clock.now


def listings(lab: AzureLab) -> int:
    return sum(call.operation in LISTINGS for call in lab.calls)


def test_a_group_is_deleted_whatever_compute_says(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    provider.create(offer(), batch(3))
    lab.timing.group_going = 394.5
    close_compute(provider, lab, clock)
    with pytest.raises(ThrottledError, match="HighCostGet30Min") as caught:
        provider.nodes(SCOPE)
    assert caught.value.retry_after == 1235
    provider.release(provider.leftovers(SCOPE))
    with pytest.raises(ThrottledError, match="no listing in the next") as caught:
        provider.nodes(SCOPE)
    assert caught.value.retry_after is None, "the group goes by itself: worth a look soon"
    clock.sleep(400)
    assert provider.nodes(SCOPE) == []
    assert provider.leftovers(SCOPE) == []
    assert listings(lab) == 1 + lab_listings_of_create(lab)
    assert lab.remains() == []


def lab_listings_of_create(lab: AzureLab) -> int:
    made = [call.operation for call in lab.calls]
    return sum(one in LISTINGS for one in made[: made.index(f"DELETE {GROUP}")]) - 1


def test_known_nodes_are_deleted_one_by_one_while_their_group_cannot_be_listed(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    first, second, third = provider.create(offer(), batch(3)).nodes
    close_compute(provider, lab, clock)
    provider.destroy([first, third])
    clock.sleep(60)
    assert lab.ids() == [second.id.lower()]


def test_compute_is_left_alone_for_as_long_as_it_asks(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    provider.create(offer(), batch())
    close_compute(provider, lab, clock)
    lab.forget_calls()
    for _ in range(5):
        with pytest.raises(ThrottledError):
            provider.nodes(SCOPE)
        clock.sleep(200)
    assert listings(lab) == 1
    clock.sleep(300)
    assert len(provider.nodes(SCOPE)) == 1


def test_machines_are_listed_without_what_they_do_when_only_that_cannot_be_asked(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    provider.create(offer(), batch(2))
    clock.sleep(60)
    lab.faults.throttle(LISTINGS[1], seconds=1235)
    assert [node.state for node in provider.nodes(SCOPE)] == [NodeState.RUNNING] * 2


def test_a_deletion_that_failed_is_told_in_azures_words_and_begun_again(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    words = "Deletion of resource group failed as resources could not be deleted."
    lab.faults.stuck.append(Trouble("ResourceGroupDeletionTimeout", words))
    provider.destroy(provider.create(offer(), batch()).nodes)
    (group,) = provider.leftovers(SCOPE)
    assert group.ending
    clock.sleep(60)
    (group,) = provider.leftovers(SCOPE)
    assert not group.ending
    with pytest.raises(ProviderError, match=f"ResourceGroupDeletionTimeout: {words}"):
        provider.release([group])
    clock.sleep(60)
    assert lab.remains() == []


def test_a_deletion_that_another_process_began_and_that_failed_is_read_in_the_log(
    provider: AzureProvider, make: MakeProvider, lab: AzureLab, clock: ManualClock
) -> None:
    words = "The resource 'disk-7' is locked by a backup."
    lab.faults.stuck.append(Trouble("ResourceGroupDeletionBlocked", words))
    provider.destroy(provider.create(offer(), batch()).nodes)
    clock.sleep(60)
    later = make()
    (group,) = later.leftovers(SCOPE)
    assert not group.ending
    with pytest.raises(ProviderError, match=r"resourceGroups/delete by .* failed: .*ResourceGroup"):
        later.release([group])
    clock.sleep(60)
    assert lab.remains() == []


def test_a_group_whose_last_deletion_did_not_fail_is_deleted_without_a_word(
    provider: AzureProvider, make: MakeProvider, lab: AzureLab, clock: ManualClock
) -> None:
    provider.destroy(provider.create(offer(), batch(2)).nodes[:1])
    clock.sleep(60)
    for id_ in lab.ids():
        lab.cloud.end(lab.cloud.machines[id_])
    clock.sleep(60)
    lab.faults.refuse(
        "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values",
        *(403, "AuthorizationFailed", "no right to read the log"),
    )
    later = make()
    later.release(later.leftovers(SCOPE))
    clock.sleep(60)
    assert lab.remains() == []


@pytest.mark.parametrize("code", [500, 404])
def test_a_failure_that_cannot_be_read_keeps_no_group(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock, code: int
) -> None:
    lab.faults.stuck.append(Trouble("ResourceGroupDeletionTimeout", "no"))
    provider.destroy(provider.create(offer(), batch()).nodes)
    clock.sleep(60)
    lab.faults.refuse("GET /subscriptions/{}/operationresults/{}", code, "NotFound", "no")
    provider.release(provider.leftovers(SCOPE))
    clock.sleep(60)
    assert lab.remains() == []


FLAGS = {
    "vm delete": {"--resource-group", "--name", "--yes", "--subscription"},
    "group delete": {"--name", "--yes", "--subscription"},
    "group wait": {"--name", "--deleted", "--subscription"},
    "group list": {"--tag", "--subscription"},
}
"""The flags that the documentation of each command has:
https://learn.microsoft.com/en-us/cli/azure/reference-index"""


def test_every_command_by_hand_names_the_subscription_and_has_documented_flags(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    (standing,) = provider.leftovers(SCOPE)
    provider.destroy([node])
    (going,) = provider.leftovers(SCOPE)
    commands = [provider.manual_delete_command(one) for one in (node, standing, going)]
    said = set()
    for command in [*commands, provider.manual_list_command(SCOPE)]:
        az, group, verb, *rest = shlex.split(command)
        assert az == "az"
        assert {word for word in rest if word.startswith("-")} == FLAGS[f"{group} {verb}"]
        assert rest[rest.index("--subscription") + 1] == SUBSCRIPTION
        said.add(f"{group} {verb}")
    assert said == FLAGS.keys()


@pytest.mark.skipif(shutil.which("az") is None, reason="azure-cli has its own grammar; no az here")
def test_every_command_by_hand_is_read_by_azs_own_grammar(
    provider: AzureProvider, lab: AzureLab, tmp_path: Path
) -> None:
    """Without a login az reads the whole command line and then asks for one. Last played with
    azure-cli 2.91.0."""
    (node,) = provider.create(offer(), batch()).nodes
    (standing,) = provider.leftovers(SCOPE)
    provider.destroy([node])
    (going,) = provider.leftovers(SCOPE)
    commands = [provider.manual_delete_command(one) for one in (node, standing, going)]
    commands.append(provider.manual_list_command(SCOPE))
    environment = {**os.environ, "AZURE_CONFIG_DIR": str(tmp_path)}
    environment["AZURE_CORE_COLLECT_TELEMETRY"] = "0"

    def said(command: str) -> str:
        words = shlex.split(command)
        return subprocess.run(words, env=environment, capture_output=True, text=True).stderr

    assert all("Please run 'az login'" in said(command) for command in commands)
    assert "unrecognized arguments" in said(f"{commands[0]} --forcibly")


def test_the_manual_delete_command_is_one_of_the_azure_tool(make: MakeProvider) -> None:
    subscription = "99999999-8888-7777-6666-555555555555"
    provider = make(subscription=subscription)
    (node,) = provider.create(offer(), batch()).nodes
    assert provider.manual_delete_command(node) == (
        f"az vm delete --resource-group {RUN_GROUP.lower()} --name {node.name} --yes "
        f"--subscription {subscription}"
    )
    (group,) = provider.leftovers(SCOPE)
    assert provider.manual_delete_command(group) == (
        f"az group delete --name {group.id} --yes --subscription {subscription}"
    )
    assert provider.manual_list_command(SCOPE) == (
        f"az group list --tag spotdeploy-deployment=shop --subscription {subscription}"
    )
