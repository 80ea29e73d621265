"""What became of an instance: its fate, its console, and the notice it reads on itself."""

from __future__ import annotations

from typing import Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Fate, FateKind, Node
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.errors import MISSING
from spotdeploy_gcp.nodes import ZonalId
from spotdeploy_gcp.schemas import Operation, SerialPortOutput

INTERRUPTED: Final = frozenset({"compute.instances.preempted", "compute.instances.hostError"})
"""Operations by which Google, and not the user, ends an instance:
https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption"""
ALIVE: Final = frozenset({"PENDING", "PROVISIONING", "STAGING", "RUNNING"})
METADATA: Final = "http://169.254.169.254/computeMetadata/v1"


def fate(cloud: Cloud, node: Node) -> Fate:
    """Ask for the instance, then for the operations on it. Two calls; may be repeated.

    Raises ProviderError for an id that cannot be read.
    """
    place = ZonalId.parse(node.id, cloud.driver.project)
    instance = cloud.nodes.instance(place)
    state = str(instance.get("status")) if instance else ""
    if state in ALIVE:
        return Fate(FateKind.ALIVE, state)
    events = _events(cloud, place)
    for event in events:
        if event.operation_type in INTERRUPTED:
            return Fate(FateKind.INTERRUPTED, _message(event))
    ended = [_message(event) for event in events if "insert" not in event.operation_type.lower()]
    message = ended[0] if ended else "Google does not say why"
    if instance is None:
        return Fate(FateKind.VANISHED, f"no longer there: {message}")
    return Fate(FateKind.STOPPED, f"{state}: {message}")


def _events(cloud: Cloud, place: ZonalId) -> list[Operation]:
    """The operations on an instance, the last one first. They are kept for some days. Google takes
    no filter together with an order."""
    query = {"filter": f'targetLink eq ".*/zones/{place.zone}/instances/{place.name}"'}
    at = {"project": place.project, "zone": place.zone}
    found = cloud.driver.pages(Action.LIST_OPERATIONS, Operation, query, at)
    return sorted(found, key=lambda event: event.began, reverse=True)


def _message(event: Operation) -> str:
    who = f" by {event.user}" if event.user else ""
    status = f": {event.status_message}" if event.status_message else ""
    return f"{event.operation_type}{who}{status}"


def console(driver: GceDriver, id_: str) -> str:
    """The last megabyte of the first serial port; empty when the instance is unknown or has
    printed nothing: https://cloud.google.com/compute/docs/troubleshooting/viewing-serial-port-output
    """
    place = ZonalId.parse(id_, driver.project)
    try:
        return driver.call(Action.GET_SERIAL_PORT_OUTPUT, SerialPortOutput, place.instance).contents
    except ProviderError as error:
        if error.code in MISSING or error.code == "resourceNotReady":
            return ""
        raise


def notice_command() -> list[str]:
    """A command for the node that prints TRUE when it is being preempted, which is half a minute
    before, or nothing: https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption
    """
    ask = f"curl -sfm2 -H 'Metadata-Flavor: Google' {METADATA}/instance/preempted"
    return ["sh", "-c", f'[ "$({ask})" != TRUE ] || echo TRUE']


def parse_notice(output: str) -> Fate | None:
    """The fate that the command's output announces, or None."""
    if output.strip() != "TRUE":
        return None
    return Fate(FateKind.INTERRUPTED, "Google is preempting it")
