"""Reap: find expired resources of every deployment, made on whatever computer, and end them.

Only labels are asked: no journal, no config of the deployment. A node has expired when its time to
live ended `GRACE` ago. Any other resource has expired when its own time ended, or when no node of
its run is alive any more and the run is old or has expired itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from spotdeploy import labels
from spotdeploy.duration import spell
from spotdeploy.errors import RefusedError, SpotdeployError
from spotdeploy.model import Node, NodeState, Resource
from spotdeploy.phases.destroy import PROOFS, join
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import Receipt
from spotdeploy.state import ids
from spotdeploy.state.lock import locked
from spotdeploy.text import plain

GRACE: Final = 600.0
"""Seconds past its end during which a node may still be ending itself, and clocks may differ."""
OLD: Final = 86400.0
"""Seconds after which a run that has no node any more makes no more either."""

Owner = tuple[str, str]
"""Deployment and run."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Something of ours that has expired."""

    thing: Node | Resource
    why: str
    """In a few words, for people."""

    @property
    def deployment(self) -> str:
        """Whose it is, as far as its labels say."""
        return self.thing.labels.get(labels.DEPLOYMENT, "")


@dataclass(frozen=True, slots=True)
class Search:
    """What one location has of ours."""

    location: Location
    expired: tuple[Expired, ...] = ()
    alive: int = 0
    """Nodes of ours that are within their time to live."""
    error: str = ""
    """Why it could not be asked, in the cloud's words; then it says nothing."""

    def of_deployments(self, names: Collection[str]) -> Search:
        """The same without what has expired of other deployments."""
        expired = tuple(one for one in self.expired if one.deployment in names)
        return replace(self, expired=expired)


async def search(location: Location, now: float | None = None) -> Search:
    """Ask one location for everything of ours. Changes nothing."""
    now = time.time() if now is None else now
    try:
        nodes, things = await _listed(location)
    except Exception as error:  # noqa: BLE001  # one location that breaks off hides no other
        return Search(location, error=_message(error))
    late = [Expired(node, why) for node in nodes if (why := _node_expired(node, now))]
    late_ids = {find.thing.id for find in late}
    living = [node for node in nodes if node.id not in late_ids]
    orphans = _orphans(things, living, [find.thing for find in late], now)
    return Search(location, (*late, *orphans), len(living))


async def reap(found: Sequence[Search], patience: float) -> Receipt:
    """End what searches found, deployments and locations in parallel, and prove it gone.

    A deployment that a run on this computer is at work on is left alone and reported as left.
    `patience` is in seconds.

    Raises RefusedError when a provider's account guard forbids it; nothing is ended there then.
    """
    deployments = {find.deployment for one in found for find in one.expired}
    each = [_reap_deployment(found, deployment, patience) for deployment in sorted(deployments)]
    return await _joined(each)


async def _joined(each: Iterable[Coroutine[None, None, Receipt]]) -> Receipt:
    """One receipt. What one of them is refused is raised once all have come to their end."""
    results = await asyncio.gather(*each, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return join([result for result in results if isinstance(result, Receipt)])


async def _reap_deployment(found: Sequence[Search], deployment: str, patience: float) -> Receipt:
    its = [
        (one.location, [find.thing for find in one.expired if find.deployment == deployment])
        for one in found
    ]
    with ExitStack() as held:
        try:
            held.enter_context(locked(_lock_name(deployment), "reap"))
        except RefusedError as error:
            left = (f"{thing} ({error.message})" for _, things in its for thing in things)
            return Receipt(left=tuple(left))
        ends = [_end(location, things, patience) for location, things in its if things]
        return await _joined(ends)


async def _end(location: Location, mine: Sequence[Node | Resource], patience: float) -> Receipt:
    """Destroy and release until `PROOFS` listings in a row lack them all."""
    desired = {thing.id for thing in mine}
    there, message, proofs = desired, "", 0
    clock = asyncio.get_running_loop().time
    started = clock()
    deadline = started + patience
    while proofs < PROOFS and clock() < deadline:
        try:
            async with asyncio.timeout_at(deadline):
                there = await _go_on(location, desired)
            message = ""
        except RefusedError:
            raise
        except TimeoutError:
            message = message or f" (not done within {spell(patience)})"
        except Exception as error:  # noqa: BLE001  # whatever it is, what is left must be told
            message = f" ({_message(error)})"
        proofs = 0 if there or message else proofs + 1
        if proofs < PROOFS:
            await asyncio.sleep(location.provider.poll_seconds)
    unproven = set() if proofs == PROOFS else there or desired
    gone = [thing for thing in mine if thing.id not in unproven]
    manual_delete_command = location.provider.manual_delete_command
    left = [thing for thing in mine if thing.id in unproven]
    return Receipt(
        destroyed=tuple(thing for thing in gone if isinstance(thing, Node)),
        released=tuple(thing for thing in gone if isinstance(thing, Resource)),
        listings=proofs,
        seconds=clock() - started,
        left=tuple(f"{thing}{message}; by hand: {manual_delete_command(thing)}" for thing in left),
    )


async def _go_on(location: Location, desired: Collection[str]) -> set[str]:
    """Destroy the nodes that are left, then release the rest. Returns the ids that were listed."""
    nodes, things = await _listed(location)
    nodes = [node for node in nodes if node.id in desired]
    things = [thing for thing in things if thing.id in desired]
    await location.destroy([node for node in nodes if node.state is not NodeState.GOING])
    await location.release([] if nodes else things)
    return {node.id for node in nodes} | {thing.id for thing in things}


async def _listed(location: Location) -> tuple[list[Node], list[Resource]]:
    """Everything of ours, and nothing without our label whatever the provider says."""
    scope = labels.anyones()
    nodes = [node for node in await location.nodes(scope) if node.state is not NodeState.GONE]
    things = await location.leftovers(scope)
    ours = [node for node in nodes if labels.matches(node.labels, scope)]
    return ours, [thing for thing in things if labels.matches(thing.labels, scope)]


def _message(error: Exception) -> str:
    """The error in one line, one that is none of ours with its class."""
    what = (
        error.message if isinstance(error, SpotdeployError) else f"{type(error).__name__}: {error}"
    )
    return " ".join(plain(what, limit=2000).split())


def _node_expired(node: Node, now: float) -> str:
    """Why the node has expired; empty when it has not, or when its labels do not say."""
    if (end := labels.expires_at(node.labels)) is not None:
        return _since("its time to live ended", end, now) if now > end + GRACE else ""
    began = ids.began_at(node.labels.get(labels.RUN, ""))
    if began is None or now < began + OLD:
        return ""
    return _since("it says no time to live, and its run began", began, now)


def _orphans(
    things: Iterable[Resource],
    living: Iterable[Node],
    late: Collection[Node | Resource],
    now: float,
) -> list[Expired]:
    alive = {_owner(node.labels) for node in living}
    busy = {deployment for deployment, _ in alive}
    expired = {_owner(thing.labels) for thing in late} - alive
    found = []
    for thing in things:
        owner = _owner(thing.labels)
        if owner in alive or (not owner[1] and owner[0] in busy):
            continue
        if why := _resource_expired(thing, expired, now):
            found.append(Expired(thing, why))
    return found


def _resource_expired(thing: Resource, expired: Collection[Owner], now: float) -> str:
    end = labels.expires_at(thing.labels)
    if end is not None and now > end + GRACE:
        return _since("its time to live ended", end, now)
    deployment, run = _owner(thing.labels)
    if (deployment, run) in expired:
        return "the nodes of its run have expired"
    if not run:
        return "its deployment has no node here"
    began = ids.began_at(run)
    if end is None and began is not None and now > began + OLD:
        return _since("no node of its run is here, and that began", began, now)
    return ""


def _owner(of: Mapping[str, str]) -> Owner:
    return of.get(labels.DEPLOYMENT, ""), of.get(labels.RUN, "")


def _since(what: str, moment: float, now: float) -> str:
    return f"{what} {spell(60 * ((now - moment) // 60))} ago"


def _lock_name(deployment: str) -> str:
    return "reap" if deployment in ("", labels.ANY) else deployment
