"""How the fake cloud makes machines: as many as place and faults allow, once per token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from spotdeploy import labels
from spotdeploy.errors import CapacityError, ProviderError, QuotaError
from spotdeploy.model import Batch, Offer
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import PlaceFault, Script
from spotdeploy.testing.fake.machine import CloudState, End, Machine, Thing

P = TypeVar("P", bound=PlaceFault)
BOOT_SECONDS: Final = 0.2
"""From creation to running."""


@dataclass(frozen=True, slots=True)
class CreateResult:
    """What one create call made."""

    machines: tuple[Machine, ...]
    shortfall: str | None = None
    answered: bool = True
    """False when the caller gets no answer."""


def give_birth(
    state: CloudState, script: Script, now: float, offer: Offer, batch: Batch
) -> CreateResult:
    """Make the machines of a batch, or find those that its token made before.

    Raises ProviderError and its kinds, and has changed nothing then.
    """
    made = tuple(m for m in state.machines.values() if m.token == batch.token)
    if made:
        short = len(made) < batch.count
        return CreateResult(made, f"only {len(made)} were made" if short else None)
    place = _Place(script, offer)
    count, why = _room(state, place, now, batch.count)
    late = max((fault.seconds for fault in place.hits(faults.LateCreate)), default=None)
    at = now + (late or 0.0)
    traits = place.traits(at)
    unlisted = max((fault.seconds for fault in place.hits(faults.UnlistedGroup)), default=0.0)
    group = Thing(
        kind="group",
        id=state.new_id("group"),
        location=offer.location,
        labels=dict(batch.labels),
        listed_at=at + unlisted,
    )
    state.things[group.id] = group
    machines = [
        _make(state, place.offer, at, batch, group=group.id, **traits) for _ in range(count)
    ]
    for fault in place.hits(faults.InterruptionAfter):
        machines = [
            state.change(m, end=End(now + fault.seconds, fault.ending)) if i < fault.nodes else m
            for i, m in enumerate(machines)
        ]
    return CreateResult(tuple(machines), why, answered=late is None)


class _Place:
    """A place and the faults that hit it."""

    def __init__(self, script: Script, offer: Offer) -> None:
        self.offer = offer
        self._script = script

    def hits(self, kind: type[P]) -> list[P]:
        offer = self.offer
        return self._script.on_place(kind, offer.location, offer.zone, offer.size, offer.market)

    def traits(self, at: float) -> dict[str, Any]:
        """What the faults make of every machine of this call, created at `at`."""
        boot = [BOOT_SECONDS, *(slow.seconds for slow in self.hits(faults.SlowBoot))]
        unlisted = self.hits(faults.Unlisted)
        return {
            "runs_at": at + max(boot),
            "listed_at": at + max((fault.seconds for fault in unlisted), default=0.0),
            "hidden_listings": max((fault.listings for fault in unlisted), default=0),
            "reachable": not self.hits(faults.Unreachable),
        }


def _room(state: CloudState, place: _Place, now: float, asked: int) -> tuple[int, str | None]:
    """How many machines may be made, and why not more."""
    count, why = asked, None
    for quota in place.hits(faults.Quota):
        here = (m for m in state.machines.values() if m.location == place.offer.location)
        left = quota.limit - sum(m.exists(now) or m.gone_since(now - quota.late) for m in here)
        if left <= 0 or (quota.whole and left < count):
            words = f"the quota of {quota.limit} machines is used up"
            raise QuotaError(words, code="LimitReached", reach=quota.reach)
        if left < count:
            count, why = left, f"LimitReached: the quota is {quota.limit} machines"
    for no in place.hits(faults.Refused):
        raise ProviderError(no.message, code=no.code, hint=no.hint, reach=no.reach)
    if place.hits(faults.NoCapacity):
        raise CapacityError(f"no capacity for {place.offer}", code="InsufficientCapacity")
    for fill in place.hits(faults.PartialFill):
        if fill.give < count:
            count, why = fill.give, f"InsufficientCapacity: only {fill.give} machines left"
    return count, why


def _make(state: CloudState, offer: Offer, at: float, batch: Batch, **traits: Any) -> Machine:
    id_ = state.new_id("m")
    machine = Machine(
        id=id_,
        name=f"{batch.labels.get(labels.DEPLOYMENT, 'fake')}-{id_}",
        location=offer.location,
        zone=offer.zone,
        size=offer.size,
        market=offer.market,
        labels=dict(batch.labels),
        token=batch.token,
        user_data=batch.user_data,
        open_ports=batch.open_ports,
        allow_from=batch.allow_from,
        open_between=tuple(map(str, batch.open_between or ())),
        peers=batch.labels.get(labels.DEPLOYMENT, ""),
        usd_per_hour=offer.usd_per_hour,
        created_at=at,
        appears_at=at,
        expires_at=at + batch.time_to_live,
        **traits,
    )
    state.machines[id_] = machine
    return machine
