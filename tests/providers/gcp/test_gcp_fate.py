"""What became of a node, its console, and the notice it can read on itself."""

from __future__ import annotations

import subprocess

import pytest

from spotdeploy.model import FateKind
from spotdeploy_gcp.fate import notice_command, parse_notice
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.providers.gcp.conftest import batch, offer


def test_preemption_is_read_from_the_operations_when_the_instance_is_gone(
    provider: GcpProvider, lab: GcpLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.interrupt(node.name)
    assert node.name not in lab.instances()
    fate = provider.fate(node)
    assert fate.kind is FateKind.INTERRUPTED
    assert fate.message == (
        "compute.instances.preempted by system@google.com: Instance was preempted."
    )


def test_preemption_is_reported_while_the_instance_is_stopping(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.timing.going = 3600.0
    (node,) = provider.create(offer(), batch()).nodes
    lab.interrupt(node.name)
    assert provider.fate(node).kind is FateKind.INTERRUPTED


def test_a_host_error_is_an_interruption(provider: GcpProvider, lab: GcpLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.cloud.stopped(lab.instance(node.name), "compute.instances.hostError")
    assert provider.fate(node).kind is FateKind.INTERRUPTED


def test_a_node_that_someone_stopped_says_who(provider: GcpProvider, lab: GcpLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.power_off(node.name)
    fate = provider.fate(node)
    assert (fate.kind, fate.message) == (FateKind.STOPPED, "TERMINATED: stop by a@example.com")


def test_what_ended_a_node_last_is_told_and_google_is_asked_as_it_takes_it(
    provider: GcpProvider, lab: GcpLab
) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    now = lab.timing.clock()
    for second, user in ((30, "z@example.com"), (10, "a@example.com"), (20, "m@example.com")):
        lab.timing.clock = lambda second=second: now + second  # type: ignore[misc]
        lab.cloud.stopped(lab.instance(node.name), "stop", user=user)
    lab.timing.clock = lambda: now + 60
    assert provider.fate(node).message == "TERMINATED: stop by z@example.com"
    (query,) = [call.query for call in lab.calls if call.method.endswith("zoneOperations.list")]
    assert not {"filter", "orderBy"} <= set(query)


def test_the_preemption_of_a_namesake_elsewhere_is_not_ours(
    provider: GcpProvider, lab: GcpLab
) -> None:
    first, tenth = (provider.create(offer(), batch(11)).nodes[n] for n in (1, 2))
    assert (first.name, tenth.name) == ("sd-token-0-1", "sd-token-0-10")
    lab.interrupt(tenth.name)
    lab.delete(first.name)
    assert provider.fate(first).kind is FateKind.VANISHED


def test_the_console_is_the_serial_port(provider: GcpProvider, lab: GcpLab) -> None:
    (node,) = provider.create(offer(), batch()).nodes
    lab.cloud.console = lambda name: f"{name} login:\n"
    assert provider.console(node) == f"{node.name} login:\n"
    lab.delete(node.name)
    assert provider.console(node) == ""


@pytest.mark.parametrize("output", ["TRUE\n", "TRUE"])
def test_an_announced_preemption_is_read(output: str) -> None:
    fate = parse_notice(output)
    assert fate is not None
    assert fate.kind is FateKind.INTERRUPTED


@pytest.mark.parametrize("output", ["", "FALSE", "\x1b[31m", "curl: (7) Failed to connect"])
def test_other_output_announces_nothing(output: str) -> None:
    assert parse_notice(output) is None


@pytest.mark.parametrize(("answered", "printed"), [("TRUE", "TRUE\n"), ("FALSE", ""), ("", "")])
def test_the_command_prints_nothing_while_nothing_is_announced(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    answered: str,
    printed: str,
) -> None:
    tools = tmp_path_factory.mktemp("bin")
    curl = tools / "curl"
    curl.write_text(f'#!/bin/sh\nprintf "%s" "{answered}"\n')
    curl.chmod(0o755)
    shown = subprocess.run(
        notice_command(), env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, printed, "")
