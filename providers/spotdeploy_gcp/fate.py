"""What became of an instance, from its state and the operations on it."""

from __future__ import annotations

from typing import Final

from spotdeploy.model import Fate, FateKind, Node
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.nodes import split_id
from spotdeploy_gcp.shapes import Operation

INTERRUPTED: Final = frozenset({"compute.instances.preempted", "compute.instances.hostError"})
"""Operations by which Google, and not the user, ends an instance:
https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption"""
ALIVE: Final = frozenset({"PENDING", "PROVISIONING", "STAGING", "RUNNING"})


def fate(cloud: Cloud, node: Node) -> Fate:
    """Ask for the instance, then for the operations on it. Two calls; may be repeated."""
    place = split_id(node.id)
    if place is None:
        return Fate(FateKind.VANISHED, f"no instance can be called {node.id}")
    instance = cloud.instance(*place)
    state = str(instance.get("status")) if instance else ""
    if state in ALIVE:
        return Fate(FateKind.ALIVE, state)
    events = _events(cloud, *place)
    for event in events:
        if event.operation_type in INTERRUPTED:
            return Fate(FateKind.INTERRUPTED, _words(event))
    ended = [_words(event) for event in events if "insert" not in event.operation_type.lower()]
    words = ended[0] if ended else "Google does not say why"
    if instance is None:
        return Fate(FateKind.VANISHED, f"no longer there: {words}")
    return Fate(FateKind.STOPPED, f"{state}: {words}")


def _events(cloud: Cloud, zone: str, name: str) -> list[Operation]:
    """The operations on an instance, the last one first. They are kept for some days."""
    query = {
        "filter": f'targetLink eq ".*/zones/{zone}/instances/{name}"',
        "orderBy": "creationTimestamp desc",
    }
    return cloud.driver.pages(Action.LIST_OPERATIONS, Operation, query, {"zone": zone})


def _words(event: Operation) -> str:
    who = f" by {event.user}" if event.user else ""
    said = f": {event.status_message}" if event.status_message else ""
    return f"{event.operation_type}{who}{said}"
