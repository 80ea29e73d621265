"""From what an engine says of its containers to machines: pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from spotdeploy.ports import PortRange
from spotdeploy_local.engine import Machine, MachineState
from spotdeploy_local.engines.container.commands import FACTS, NETWORK, Facts, Place

_BEFORE = ("created", "configured", "initialized")


def facts(inspected: Mapping[str, Any]) -> Facts | None:
    """What was kept with a container; None when it was not made as a machine."""
    text = (inspected["Config"].get("Labels") or {}).get(FACTS)
    if not text:
        return None
    found = json.loads(text)
    place = found.pop("place")
    forwarded = {int(port): here for port, here in place.pop("forwarded").items()}
    published = tuple(place.pop("published"))
    found["publish"] = tuple(found["publish"])
    found["names"] = tuple(found["names"])
    found["open_between"] = tuple(map(PortRange, found["open_between"]))
    return Facts(**found, place=Place(**place, forwarded=forwarded, published=published))


def of_listing(listed: Mapping[str, Any]) -> Mapping[str, Any]:
    """What podman lists of a container, as it would inspect it."""
    ended = datetime.fromtimestamp(max(0, listed["ExitedAt"]), UTC).isoformat()
    state = {"Status": listed["State"], "ExitCode": listed["ExitCode"], "FinishedAt": ended}
    return {
        "Id": listed["Id"],
        "State": state | {"Pid": listed["Pid"]},
        "Config": {"Labels": listed["Labels"]},
    }


def machine(inspected: Mapping[str, Any], kept: Facts, notice: str | None) -> Machine:
    """A container as a machine."""
    state = inspected["State"]
    found = _state(state["Status"])
    return Machine(
        id=kept.id,
        name=kept.name,
        state=found,
        network=kept.network,
        address=kept.place.address,
        extra_addresses=(),
        labels=kept.labels,
        details=kept.details,
        created_at=kept.created_at,
        publish=kept.publish,
        open_between=kept.open_between,
        open_to=kept.open_to,
        names=kept.names,
        published_address=kept.place.published_address,
        pid=state.get("Pid") or None,
        notice=notice,
        message=_message(state, kept) if found is MachineState.STOPPED else "",
    )


def planned(kept: Facts) -> Machine:
    """A machine whose container is only about to be made."""
    return machine({"State": {"Status": _BEFORE[0]}}, kept, None)


def network(inspected: Mapping[str, Any]) -> tuple[str, str]:
    """Our name of a network, and its subnet: podman and docker tell them in their own ways."""
    labels = inspected.get("labels") or inspected.get("Labels") or {}
    if "subnets" in inspected:
        return labels[NETWORK], inspected["subnets"][0]["subnet"]
    return labels[NETWORK], inspected["IPAM"]["Config"][0]["Subnet"]


def chosen_by(containers: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Facts]]:
    """The containers that are machines, oldest first."""
    found = [(one, kept) for one in containers if (kept := facts(one))]
    return sorted(found, key=lambda pair: (pair[1].created_at, pair[1].id))


def _state(status: str) -> MachineState:
    if status in _BEFORE:
        return MachineState.PENDING
    if status in ("running", "paused"):
        return MachineState.RUNNING
    return MachineState.STOPPED


def _message(state: Mapping[str, Any], kept: Facts) -> str:
    ended = moment(state["FinishedAt"]) if state.get("FinishedAt") else 0.0
    made = math.floor(kept.created_at)  # process 1 counts whole seconds, and podman tells no others
    if kept.time_to_live is not None and ended >= made + kept.time_to_live:
        return "its time to live was over"
    code = state["ExitCode"]
    if code == 0:
        return "it powered itself off"
    return "its power was cut" if code == 137 else f"exit code {code}"


def moment(text: str) -> float:
    """Unix time of an engine's timestamp."""
    return datetime.fromisoformat(text).timestamp()
