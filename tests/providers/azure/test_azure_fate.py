"""What became of a node, its console, and the notice it can read on itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spotdeploy.errors import CredentialsError
from spotdeploy.model import FateKind, Market
from spotdeploy.testing import ManualClock
from spotdeploy_azure.fate import notice_command, parse_notice
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.providers.azure.conftest import batch, offer

EVENTS = "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values"


def test_an_eviction_is_read_from_the_activity_log(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    node, _ = provider.create(offer(), batch(2)).nodes
    lab.interrupt(node.id)
    for _ in range(2):
        fate = provider.fate(node)
        assert fate.kind is FateKind.INTERRUPTED
        assert "evictSpotVM" in fate.message
        clock.sleep(60)


def test_an_eviction_is_inferred_from_absence_while_the_log_is_late(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    node, _ = provider.create(offer(), batch(2)).nodes
    lab.interrupt(node.id, logged=False)
    clock.sleep(60)
    fate = provider.fate(node)
    assert fate.kind is FateKind.INTERRUPTED
    assert "names nobody who deleted it" in fate.message


def test_a_node_that_somebody_deleted_has_vanished_and_the_message_says_who(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    node, _ = provider.create(offer(), batch(2)).nodes
    lab.delete(node.id)
    clock.sleep(60)
    fate = provider.fate(node)
    assert fate.kind is FateKind.VANISHED
    assert "by a@example.com" in fate.message


def test_an_on_demand_node_that_is_gone_was_not_evicted(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    node, _ = provider.create(offer(market=Market.ON_DEMAND), batch(2)).nodes
    lab.cloud.end(lab.machine(node.id))
    clock.sleep(60)
    assert provider.fate(node).kind is FateKind.VANISHED


def test_a_node_that_went_with_its_group_has_vanished(
    provider: AzureProvider, clock: ManualClock
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    provider.destroy([node])
    clock.sleep(60)
    assert provider.fate(node).kind is FateKind.VANISHED


@pytest.mark.parametrize("state", ["stopped", "deallocated"])
def test_a_stopped_node_is_stopped_with_azures_message(
    provider: AzureProvider, lab: AzureLab, state: str
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.power(node.id, state)
    fate = provider.fate(node)
    assert fate.kind is FateKind.STOPPED
    assert f"VM {state}" in fate.message


def test_a_log_that_may_not_be_read_is_reported_and_stops_nothing(
    provider: AzureProvider, lab: AzureLab, clock: ManualClock
) -> None:
    node, _ = provider.create(offer(), batch(2)).nodes
    lab.interrupt(node.id)
    clock.sleep(60)
    lab.faults.refuse(EVENTS, 403, "AuthorizationFailed", "no log for you")
    fate = provider.fate(node)
    assert fate.kind is FateKind.INTERRUPTED
    assert "no log for you" in fate.message


def test_refused_credentials_are_no_fate(provider: AzureProvider, lab: AzureLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.revoke()
    with pytest.raises(CredentialsError):
        provider.fate(node)


def test_the_console_is_read_from_where_azure_keeps_it(
    provider: AzureProvider, lab: AzureLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    assert provider.console(node) == ""
    lab.cloud.consoles[node.name] = "Welcome\n" * 200_000
    text = provider.console(node)
    assert text.endswith("Welcome\n")
    assert len(text) == 1 << 20


def test_a_console_that_is_not_there_yet_is_empty(provider: AzureProvider, lab: AzureLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    provider.destroy([node])
    lab.cloud.clock.sleep(60)
    assert provider.console(node) == ""


def test_an_announced_eviction_is_an_interruption() -> None:
    events = {
        "DocumentIncarnation": 2,
        "Events": [
            {
                "EventId": "A",
                "EventStatus": "Scheduled",
                "EventType": "Preempt",
                "ResourceType": "VirtualMachine",
                "Resources": ["shop-1"],
                "NotBefore": "Mon, 19 Sep 2026 18:29:47 GMT",
                "EventSource": "Platform",
            }
        ],
    }
    fate = parse_notice(json.dumps(events))
    assert fate is not None
    assert fate.kind is FateKind.INTERRUPTED
    assert "18:29:47" in fate.message


@pytest.mark.parametrize(
    "output",
    [
        "",
        "nonsense",
        "{}",
        '{"Events": []}',
        '{"Events": [{"EventType": "Reboot"}]}',
        "[]",
        '{"a":' * 90_000,
    ],
)
def test_what_announces_nothing_is_nothing(output: str) -> None:
    assert parse_notice(output) is None


def test_the_notice_command_prints_nothing_until_there_is_one(tmp_path: Path) -> None:
    for answer in ('{"Events":[]}', '{"Events":[{"EventType":"Preempt","NotBefore":""}]}'):
        curl = tmp_path / "curl"
        curl.write_text(f"#!/bin/sh\necho '{answer}'\n")
        curl.chmod(0o755)
        done = subprocess.run(
            provider_command(), capture_output=True, text=True, env={"PATH": f"{tmp_path}:/bin"}
        )
        assert done.returncode == 0
        assert (parse_notice(done.stdout) is not None) == ("Preempt" in answer)


def provider_command() -> list[str]:
    return notice_command()
