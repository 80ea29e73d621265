"""From machines of the engine to nodes of the core, and back: pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from spotdeploy import labels as label
from spotdeploy.model import Batch, Fate, FateKind, Market, Node, NodeState, Offer, Resource
from spotdeploy_local.engine import Leftover, Machine, MachineSpec, MachineState

PROVIDER = LOCATION = "local"
_LONGEST_STEM = 50
_STATES = {
    MachineState.PENDING: NodeState.PENDING,
    MachineState.RUNNING: NodeState.RUNNING,
    MachineState.STOPPED: NodeState.STOPPED,
}


def specs(
    offer: Offer,
    batch: Batch,
    *,
    cloud_init: bool,
    nested: bool = False,
) -> list[MachineSpec]:
    """The machines of a batch. Their ids follow from the token, so repeating makes none twice."""
    network = network_name(batch.labels)
    stem = network.replace("_", "-")[:_LONGEST_STEM].strip("-") or "node"
    return [
        MachineSpec(
            id=f"{batch.token}-{number}",
            name=stem,
            numbered=True,
            labels=batch.labels,
            user_data=batch.user_data,
            network=network,
            publish=batch.open_ports,
            open_between=batch.open_between or (),
            cloud_init=cloud_init,
            nested=nested,
            time_to_live=batch.time_to_live,
            details={"size": offer.size, "market": offer.market},
        )
        for number in range(1, batch.count + 1)
    ]


def network_name(labels: Mapping[str, str]) -> str:
    """Machines of one deployment share a network of its name."""
    return labels.get(label.DEPLOYMENT, "default")


def node(machine: Machine) -> Node:
    """A machine as the core knows it."""
    return Node(
        id=machine.id,
        name=machine.name,
        provider=PROVIDER,
        location=LOCATION,
        state=_STATES[machine.state],
        labels=machine.labels,
        size=machine.details.get("size"),
        market=Market(machine.details.get("market", Market.SPOT)),
        address=machine.published_address,
        private_address=machine.address,
        created_at=machine.created_at,
        usd_per_hour=0.0,
        cloud_state=machine.message or machine.state,
    )


def fate(machine: Machine | None) -> Fate:
    """What became of a machine."""
    if machine is None:
        return Fate(FateKind.VANISHED, "this host has no such machine")
    if machine.notice:
        return Fate(FateKind.INTERRUPTED, machine.notice)
    if machine.state is MachineState.STOPPED:
        return Fate(FateKind.STOPPED, machine.message)
    return Fate(FateKind.ALIVE, machine.state)


def resource(found: Leftover, labels: Mapping[str, str]) -> Resource:
    """A leftover as the core knows it. A network belongs to the deployment of its name, and what
    has no labels to whoever asks."""
    is_network = found.kind.endswith(("network", "filter"))
    owner = label.scope(found.id) if is_network else found.labels or labels
    return Resource(found.kind, found.id, PROVIDER, LOCATION, owner)


def leftover(found: Resource) -> Leftover:
    """The engine's leftover behind a resource of the core."""
    return Leftover(found.kind, found.id)
