"""Making a batch of virtual machines with one deployment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy.model import Batch, Created, Node, NodeState, Offer
from spotdeploy_azure.actions import Action
from spotdeploy_azure.auth import throwaway_public_key
from spotdeploy_azure.cloud import Cloud, Sight
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.destroy import delete_machines
from spotdeploy_azure.errors import ACTIVE, GOING, MISSING, OVER, telling
from spotdeploy_azure.nodes import failure, is_allocated
from spotdeploy_azure.offers import require
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
from spotdeploy_azure.schemas import Deployment, Group, Said

POLL: Final = 3.0
PATIENCE: Final = 600.0
"""Seconds to wait for Azure to find a place for every machine, or for an old group to go."""


@dataclass(slots=True)
class Outcome:
    """What became of the machines of a batch so far."""

    got: dict[str, Node] = field(default_factory=dict)
    refused: dict[str, list[Said]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)


def launch(cloud: Cloud, config: AzureConfig, offer: Offer, batch: Batch) -> Created:
    """Make the batch, and wait until Azure has found a place for each machine or refused it. The
    same token again gives the same machines.

    Raises what `Provider.create` names, and ConfigError for what Azure does not take.
    """
    check(batch)
    size = require(cloud.sizes, offer.size, cloud.location)
    site = Site(
        location=cloud.location,
        image=cloud.images.reference(arm64=size.arm64),
        opening=cloud.opening(batch),
        admin_key=throwaway_public_key(),
    )
    group = _group(cloud, config, batch)
    asked = parts(batch)
    errors: list[ProviderError] = []
    for part in asked:
        try:
            _deploy(cloud, config, offer, batch, part, site, group.name)
        except LostReplyError:
            raise
        except ProviderError as error:
            if part is asked[0]:
                raise
            errors.append(error)
            asked = asked[: asked.index(part)]
            break
    return _created(cloud, group, offer, batch, _settled(cloud, group, batch, asked), errors)


def _group(cloud: Cloud, config: AzureConfig, batch: Batch) -> Group:
    """The run's resource group, made if it is not there. One that is going is waited for: a run
    that ended all its nodes here may want another."""
    name = group_name(batch.labels, cloud.location)
    body = {"location": cloud.location, "tags": group_tags(batch.labels, config)}
    deadline = time.monotonic() + PATIENCE
    waited = 0.0
    while True:
        try:
            return cloud.driver.call(Action.CREATE_GROUP, Group, {"group": name}, body=body)
        except ProviderError as error:
            if error.code not in GOING or waited > PATIENCE or time.monotonic() > deadline:
                raise
        cloud.pause(POLL)
        waited += POLL


def _deploy(
    cloud: Cloud,
    config: AzureConfig,
    offer: Offer,
    batch: Batch,
    part: Part,
    site: Site,
    group: str,
) -> None:
    """Deploy a part, unless that was done before."""
    if cloud.deployment(group, part.deployment) is not None:
        return
    at = {"group": group, "deployment": part.deployment}
    body = deployment(offer, batch, part, site, config)
    try:
        cloud.driver.call(Action.DEPLOY, Deployment, at, body=body, repeatable=False)
    except ProviderError as error:
        if error.code not in ACTIVE:
            raise


def _settled(cloud: Cloud, group: Group, batch: Batch, asked: Sequence[Part]) -> Outcome:
    waited = 0.0
    while True:
        outcome = _look(cloud, group, batch, asked)
        if not outcome.waiting:
            return outcome
        if waited > PATIENCE:
            _give_up(cloud, group, outcome, asked)
            return outcome
        cloud.pause(POLL)
        waited += POLL


def _give_up(cloud: Cloud, group: Group, outcome: Outcome, asked: Sequence[Part]) -> None:
    """Stop the deployments, so that no machine comes that nobody waits for any longer."""
    for part in asked:
        at = {"group": group.name, "deployment": part.deployment}
        try:
            cloud.driver.call(Action.CANCEL_DEPLOYMENT, object, at)
        except ProviderError as error:
            if error.code not in MISSING | OVER:
                raise
    for name in outcome.waiting:
        words = f"Azure found no place for {name} in {PATIENCE:.0f} s"
        outcome.refused[name] = [Said(code="AllocationTimedOut", message=words)]
    outcome.waiting.clear()


def _look(cloud: Cloud, group: Group, batch: Batch, asked: Sequence[Part]) -> Outcome:
    """A question for each deployment, and a listing; what a listing still lacks is asked for."""
    outcome = Outcome()
    every = machine_names(batch)
    done = {part: cloud.deployment(group.name, part.deployment) for part in asked}
    sights = cloud.sights(group, set(every))
    for part, state in done.items():
        for name in every[part.first - 1 : part.first - 1 + part.count]:
            sight = sights.get(name)
            if sight is None and _succeeded(state):
                sight = cloud.sight(group, name)
            if sight is None:
                _sort_unseen(outcome, name, state)
            else:
                _sort(outcome, name, sight)
    return outcome


def _sort(outcome: Outcome, name: str, sight: Sight) -> None:
    why = failure(sight.statuses)
    if why is None and sight.node.state is NodeState.GOING:
        why = Said(code="Deleting", message=f"{name} was taken back at once")
    if why is None and sight.provisioning == "Failed":
        why = Said(code="Failed", message=f"Azure could not make {name}")
    if why is not None and not is_allocated(sight.statuses, ""):
        outcome.refused[name] = [why]
    elif is_allocated(sight.statuses, sight.provisioning):
        outcome.got[name] = sight.node
    else:
        outcome.waiting.add(name)


def _sort_unseen(outcome: Outcome, name: str, state: Deployment | None) -> None:
    if state is None or not state.over:
        outcome.waiting.add(name)
    elif _succeeded(state):
        outcome.refused[name] = [Said(code="Gone", message=f"{name} was made and is gone again")]
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
    said = [one for saids in outcome.refused.values() for one in saids]
    if not nodes:
        raise _final(telling(said, 409, str(offer)))
    reasons = [error.message for error in errors]
    if said:
        reasons.append(telling(said, 409, str(offer)).message)
    return Created(nodes, "; ".join(reasons))


def _final(error: ProviderError) -> ProviderError:
    """Repeating the same call would show the same failed deployment."""
    if isinstance(error, ThrottledError):
        return ProviderError(error.message, code=error.code, hint=error.hint)
    return error


def _clean_up(cloud: Cloud, group: Group, refused: Sequence[str]) -> None:
    """Delete what is left of machines that could not be made, and wait until it is gone."""
    left = _there(cloud, group, refused) if refused else []
    waited = 0.0
    while left and waited <= PATIENCE:
        if waited == 0:
            delete_machines(cloud, group.name, left)
        cloud.pause(POLL)
        waited += POLL
        left = _there(cloud, group, refused)


def _there(cloud: Cloud, group: Group, names: Sequence[str]) -> list[str]:
    machines = cloud.machines(group.name) or ()
    return sorted({str(raw["name"]).lower() for raw in machines} & set(names))
