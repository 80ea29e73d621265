"""Making a batch of virtual machines with one deployment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy.model import Batch, Created, Node, NodeState, Offer
from spotdeploy.refusals import none_if_missing
from spotdeploy_azure.actions import Action
from spotdeploy_azure.auth import throwaway_public_key
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.destroy import delete_machines
from spotdeploy_azure.errors import ACTIVE, GOING, MISSING, NOT_FOUND, OVER, most_telling
from spotdeploy_azure.network import require_subnet
from spotdeploy_azure.nodes import Snapshot, failure, is_allocated
from spotdeploy_azure.offers import require
from spotdeploy_azure.peers import doors_of
from spotdeploy_azure.request import (
    Part,
    Site,
    check,
    deployment,
    group_name,
    group_tags,
    machine_names,
    parts,
)
from spotdeploy_azure.schemas import Deployment, ErrorDetail, Group

POLL_SECONDS: Final = 3.0
PLACEMENT_TIMEOUT: Final = 600.0
"""Seconds to wait for Azure to find a place for every machine, or for an old group to go."""


KNOWN_SECONDS: Final = 60.0
"""Seconds to wait until all parts of Azure know a group that was just made."""


class Deadline:
    """An end of waiting: pauses count, and so does the time that calls take."""

    def __init__(self, cloud: Cloud, seconds: float) -> None:
        """Begins now."""
        self._pause = cloud.pause
        self._left = seconds
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """True once the time is over."""
        return self._left < 0 or time.monotonic() > self._end

    def pause(self) -> None:
        """Wait until it is worth asking again."""
        self._pause(POLL_SECONDS)
        self._left -= POLL_SECONDS


@dataclass(slots=True)
class Outcome:
    """What became of the machines of a batch so far."""

    got: dict[str, Node] = field(default_factory=dict)
    refused: dict[str, list[ErrorDetail]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)


def create_batch(cloud: Cloud, config: AzureConfig, offer: Offer, batch: Batch) -> Created:
    """Make the batch, and wait until Azure has found a place for each machine or refused it. The
    same token again gives the same machines.

    Raises what `Provider.create` names, and ConfigError for what Azure does not take.
    """
    check(batch)
    size = require(cloud.sizes, offer.size, cloud.location)
    site = Site(
        location=cloud.location,
        image=cloud.images.reference(size),
        doors=doors_of(cloud, batch),
        admin_key=throwaway_public_key(),
    )
    require_subnet(config)
    group = _group(cloud, config, batch)
    requested = parts(batch)
    errors: list[ProviderError] = []
    for part in requested:
        try:
            _deploy(cloud, config, offer, batch, part, site, group.name)
        except LostReplyError:
            raise
        except ProviderError as error:
            if part is requested[0]:
                raise
            errors.append(error)
            requested = requested[: requested.index(part)]
            break
    return _created(
        cloud, group, offer, batch, _wait_until_placed(cloud, group, batch, requested), errors
    )


def _group(cloud: Cloud, config: AzureConfig, batch: Batch) -> Group:
    """The run's resource group, made if it is not there. One that is going is waited for: a run
    that ended all its nodes here may want another."""
    name = group_name(batch.labels, cloud.location)
    body = {"location": cloud.location, "tags": group_tags(batch.labels, config)}
    deadline = Deadline(cloud, PLACEMENT_TIMEOUT)
    while True:
        try:
            return cloud.driver.call(Action.CREATE_GROUP, Group, {"group": name}, body=body)
        except ProviderError as error:
            if error.code not in GOING or deadline.over:
                raise
        deadline.pause()


def _deploy(
    cloud: Cloud,
    config: AzureConfig,
    offer: Offer,
    batch: Batch,
    part: Part,
    site: Site,
    group: str,
) -> None:
    """Deploy a part, unless that was done before. A group that was just made may not be known yet
    where it is deployed to: then nothing came of the call, which is made again for a minute."""
    if _deployment(cloud, group, part.deployment) is not None:
        return
    at = {"group": group, "deployment": part.deployment}
    body = deployment(offer, batch, part, site, config)
    deadline = Deadline(cloud, KNOWN_SECONDS)
    while True:
        try:
            cloud.driver.call(Action.DEPLOY, Deployment, at, body=body, repeatable=False)
        except ProviderError as error:
            if error.code in ACTIVE:
                return
            if error.code != NOT_FOUND:
                raise
            if deadline.over:
                raise ThrottledError(error.message, code=error.code) from error
        else:
            return
        deadline.pause()


def _deployment(cloud: Cloud, group: str, name: str) -> Deployment | None:
    at = {"group": group, "deployment": name}
    call = cloud.driver.call
    return none_if_missing(lambda: call(Action.GET_DEPLOYMENT, Deployment, at), MISSING)


def _wait_until_placed(
    cloud: Cloud, group: Group, batch: Batch, requested: Sequence[Part]
) -> Outcome:
    deadline = Deadline(cloud, PLACEMENT_TIMEOUT)
    while True:
        try:
            outcome = _observe(cloud, group, batch, requested)
        except ThrottledError as error:
            if error.code != NOT_FOUND or deadline.over:
                raise
            deadline.pause()
            continue
        if not outcome.waiting:
            return outcome
        if deadline.over:
            _give_up(cloud, group, outcome, requested)
            return outcome
        deadline.pause()


def _give_up(cloud: Cloud, group: Group, outcome: Outcome, requested: Sequence[Part]) -> None:
    """Stop the deployments, so that no machine comes that nobody waits for any longer."""
    for part in requested:
        at = {"group": group.name, "deployment": part.deployment}
        try:
            cloud.driver.call(Action.CANCEL_DEPLOYMENT, object, at)
        except ProviderError as error:
            if error.code not in MISSING | OVER:
                raise
    for name in outcome.waiting:
        message = f"Azure found no place for {name} in {PLACEMENT_TIMEOUT:.0f} s"
        outcome.refused[name] = [ErrorDetail(code="AllocationTimedOut", message=message)]
    outcome.waiting.clear()


def _observe(cloud: Cloud, group: Group, batch: Batch, requested: Sequence[Part]) -> Outcome:
    """A question for each deployment, and a listing; what a listing still lacks is asked for."""
    outcome = Outcome()
    every = machine_names(batch)
    done = {part: _deployment(cloud, group.name, part.deployment) for part in requested}
    snapshots = cloud.nodes.snapshots(group, set(every))
    for part, state in done.items():
        for name in every[part.first - 1 : part.first - 1 + part.count]:
            snapshot = snapshots.get(name)
            if snapshot is None and _succeeded(state):
                snapshot = cloud.nodes.snapshot(group, name)
            if snapshot is None:
                _classify_missing(outcome, name, state)
            else:
                _classify(outcome, name, snapshot)
    return outcome


def _classify(outcome: Outcome, name: str, snapshot: Snapshot) -> None:
    why = failure(snapshot.statuses)
    if why is None and snapshot.node.state is NodeState.GOING:
        why = ErrorDetail(code="Deleting", message=f"{name} was taken back at once")
    if why is None and snapshot.provisioning == "Failed":
        why = ErrorDetail(code="Failed", message=f"Azure could not make {name}")
    if why is not None and not is_allocated(snapshot.statuses, ""):
        outcome.refused[name] = [why]
    elif is_allocated(snapshot.statuses, snapshot.provisioning):
        outcome.got[name] = snapshot.node
    else:
        outcome.waiting.add(name)


def _classify_missing(outcome: Outcome, name: str, state: Deployment | None) -> None:
    if state is None or not state.over:
        outcome.waiting.add(name)
    elif _succeeded(state):
        outcome.refused[name] = [
            ErrorDetail(code="Gone", message=f"{name} was made and is gone again")
        ]
    else:
        error = state.properties.error
        outcome.refused[name] = [error] if error else []


def _succeeded(state: Deployment | None) -> bool:
    return state is not None and state.properties.provisioning_state == "Succeeded"


def _created(
    cloud: Cloud,
    group: Group,
    offer: Offer,
    batch: Batch,
    outcome: Outcome,
    errors: Sequence[ProviderError],
) -> Created:
    _clean_up(cloud, group, list(outcome.refused))
    nodes = tuple(outcome.got[name] for name in machine_names(batch) if name in outcome.got)
    if len(nodes) == batch.count:
        return Created(nodes)
    details = [one for per_machine in outcome.refused.values() for one in per_machine]
    if not nodes:
        raise _not_worth_repeating(most_telling(details, 409, str(offer)))
    reasons = [error.message for error in errors]
    if details:
        reasons.append(most_telling(details, 409, str(offer)).message)
    return Created(nodes, "; ".join(reasons))


def _not_worth_repeating(error: ProviderError) -> ProviderError:
    """Repeating the same call would show the same failed deployment."""
    if isinstance(error, ThrottledError):
        return ProviderError(error.message, code=error.code, hint=error.hint)
    return error


def _clean_up(cloud: Cloud, group: Group, refused: Sequence[str]) -> None:
    """Delete what is left of machines that could not be made, and wait until it is gone."""
    left = _existing(cloud, group, refused) if refused else []
    if not left:
        return
    deadline = Deadline(cloud, PLACEMENT_TIMEOUT)
    delete_machines(cloud, group.name, left)
    while left and not deadline.over:
        deadline.pause()
        left = _existing(cloud, group, refused)


def _existing(cloud: Cloud, group: Group, names: Sequence[str]) -> list[str]:
    machines = cloud.nodes.machines(group.name) or ()
    return sorted({str(raw["name"]).lower() for raw in machines} & set(names))
