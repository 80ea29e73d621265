"""What became of a virtual machine: its fate, its console, and the notice it reads on itself."""

from __future__ import annotations

import json
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from spotdeploy.errors import CredentialsError, ProviderError
from spotdeploy.model import Fate, FateKind, Market, Node, NodeState
from spotdeploy_azure.actions import Action
from spotdeploy_azure.activity import events, told_by
from spotdeploy_azure.api import AzureDriver
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.errors import MISSING
from spotdeploy_azure.nodes import STATES, split_id, state_of
from spotdeploy_azure.schemas import Console, Event, VirtualMachine

EVICTED: Final = "microsoft.compute/virtualmachines/evictspotvm/action"
DELETED: Final = "microsoft.compute/virtualmachines/delete"
NO_TRACE: Final = (
    "Azure no longer has this Spot machine, and its activity log names nobody who deleted it: "
    "an eviction leaves just that"
)
CONSOLE_TIMEOUT: Final = 20.0
CONSOLE_LIMIT: Final = 1 << 20
CONSOLE_NOT_READY: Final = frozenset(
    {"BootDiagnosticsNotEnabled", "Conflict", "OperationNotAllowed"}
)
METADATA: Final = "http://169.254.169.254/metadata/scheduledevents?api-version=2020-07-01"
PREEMPT: Final = "Preempt"


def fate(cloud: Cloud, node: Node) -> Fate:
    """Ask for the machine; when it is gone or going, ask who ended it. Three calls at most.

    Evicted machines are deleted (`evictionPolicy`), and the log is some minutes late. So a Spot
    machine that is absent from a group that stands, and that nobody is known to have deleted, was
    taken back.
    """
    place = split_id(node.id)
    if place is None:
        return Fate(FateKind.VANISHED, f"no virtual machine can be called {node.id}")
    machine = cloud.nodes.machine(*place)
    state, reported = ("", "") if machine is None else _doing(machine)
    if "evict" in reported.lower():
        return Fate(FateKind.INTERRUPTED, reported)
    if STATES.get(state) in (NodeState.PENDING, NodeState.RUNNING):
        return Fate(FateKind.ALIVE, state)
    log, log_error = _events(cloud, node)
    for event in log:
        if event.operation_name.value.lower() == EVICTED:
            return Fate(FateKind.INTERRUPTED, told_by(event))
    deleted = next((one for one in log if one.operation_name.value.lower() == DELETED), None)
    if machine is not None and state != "deleting":
        return Fate(FateKind.STOPPED, f"{state}: {reported}{log_error}")
    if deleted is not None:
        return Fate(FateKind.VANISHED, told_by(deleted))
    if node.market is Market.SPOT and _group_exists(cloud, place[0]):
        return Fate(FateKind.INTERRUPTED, NO_TRACE + log_error)
    return Fate(FateKind.VANISHED, f"Azure no longer has it{log_error}")


def _doing(machine: VirtualMachine) -> tuple[str, str]:
    state_name = state_of(machine, None, machine.statuses)
    reported = [status.message or status.display_status for status in machine.statuses]
    return state_name, "; ".join(dict.fromkeys(filter(None, reported))) or state_name


def _events(cloud: Cloud, node: Node) -> tuple[list[Event], str]:
    """The events of the last day about a machine, and why they could not be read, if so."""
    try:
        return events(cloud, f"resourceUri eq '{node.id}'"), ""
    except CredentialsError as error:
        if error.code != "AuthorizationFailed":
            raise
        return [], f"; its activity log cannot be read: {error.message}"
    except ProviderError as error:
        return [], f"; its activity log cannot be read: {error.message}"


def _group_exists(cloud: Cloud, group: str) -> bool:
    found = cloud.nodes.group(group)
    return found is not None and not found.going


def console(driver: AzureDriver, id_: str) -> str:
    """The last megabyte of the serial log; empty when the machine is unknown or silent.

    https://learn.microsoft.com/en-us/azure/virtual-machines/boot-diagnostics: the log lies behind
    a URL that is a secret for a while, so errors don't name it.
    """
    place = split_id(id_)
    if place is None:
        return ""
    at = {"group": place[0], "vm": place[1]}
    try:
        link = driver.call(Action.READ_CONSOLE, Console, at).serial_console_log_blob_uri
    except ProviderError as error:
        if error.code in MISSING | CONSOLE_NOT_READY:
            return ""
        raise
    return _read_console(link) if link else ""


def _read_console(link: str) -> str:
    if urlsplit(link).scheme not in ("http", "https"):
        raise ProviderError("the console's text is not behind an http(s) URL")
    try:
        with urlopen(link, timeout=CONSOLE_TIMEOUT) as answer:  # noqa: S310  # checked above
            data: bytes = answer.read()
    except HTTPError as error:
        error.close()
        if error.code == 404:
            return ""
        raise ProviderError(f"cannot read the console's text: HTTP {error.code}") from None
    except (URLError, OSError) as error:
        message = type(error).__name__
        raise ProviderError(f"cannot read the console's text: {message}") from None
    return data[-CONSOLE_LIMIT:].decode("utf-8", "replace")


def notice_command() -> list[str]:
    """A command for the node that prints its scheduled events when Azure takes it back, or
    nothing, half a minute before. Asking for the first time turns the service on, which takes up to
    two minutes: https://learn.microsoft.com/en-us/azure/virtual-machines/linux/scheduled-events
    """
    ask = f"curl -sfm5 -H Metadata:true --noproxy '*' '{METADATA}'"
    return ["sh", "-c", f"{ask} | grep {PREEMPT} || exit 0"]


def parse_notice(output: str) -> Fate | None:
    """The fate that the command's output announces, or None."""
    try:
        events = json.loads(output)["Events"]
        event = next(one for one in events if one["EventType"] == PREEMPT)
        when = event["NotBefore"] or "any moment"
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return None
    return Fate(FateKind.INTERRUPTED, f"Azure is evicting it, not before {when}")
