"""What the fake cloud keeps: machines, other resources and the record of calls.

A machine's state is worked out from its times and the clock; nothing has to happen in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from spotdeploy import labels
from spotdeploy.model import Fate, FateKind, Market, NodeState
from spotdeploy.ports import PortRange
from spotdeploy.testing.fake.faults import AnyFault, Ending

FATES: Final[dict[Ending, Fate]] = {
    "interrupted": Fate(FateKind.INTERRUPTED, "the cloud took the machine back"),
    "preempted": Fate(FateKind.INTERRUPTED, "the cloud stopped the machine to take it back"),
    "stopped": Fate(FateKind.STOPPED, "the machine was stopped"),
    "vanished": Fate(FateKind.VANISHED),
}
LEFT_STOPPED: Final = ("preempted", "stopped")


class End(msgspec.Struct, frozen=True):
    """How a machine ends by itself. `at` is Unix time in seconds."""

    at: float
    ending: Ending


class Machine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One machine of the fake cloud. Times are Unix seconds."""

    id: str
    name: str
    location: str
    zone: str | None
    size: str
    market: Market
    labels: dict[str, str]
    token: str
    user_data: bytes
    open_ports: tuple[int, ...] = ()
    allow_from: tuple[str, ...] = ()
    open_between: tuple[str, ...] = ()
    """The ports on which others of the same `peers` in its location reach it."""
    peers: str = ""
    """Its deployment."""
    usd_per_hour: float | None = None
    group: str
    """The id of the group that it uses."""
    created_at: float
    appears_at: float
    """From then on it exists."""
    runs_at: float
    """From then on it runs."""
    expires_at: float
    """The end of its time to live."""
    listed_at: float = 0.0
    """From then on listings show it."""
    hidden_listings: int = 0
    """So many listings still lack it."""
    reachable: bool = True
    end: End | None = None
    destroyed_at: float | None = None
    gone_at: float | None = None
    """When a destroyed machine is gone; None while it is not destroyed, or stuck."""

    @property
    def door(self) -> str:
        """What those machines share that belong to one run and let in the same."""
        return door(self.location, self.labels, self.open_ports, self.allow_from, self.open_between)

    def exists(self, now: float) -> bool:
        """True from its creation until it is gone."""
        return now >= self.appears_at and self.state(now) is not NodeState.GONE

    def lets_in(self, source: Machine, port: PortRange) -> bool:
        """True when that machine reaches this port of its own, a range of one."""
        near = source.peers == self.peers and source.location == self.location
        return near and any(PortRange(one).holds(port) for one in self.open_between)

    def gone_since(self, then: float) -> bool:
        """True when it was destroyed, and went later than then."""
        return self.gone_at is not None and self.gone_at > then

    def state(self, now: float) -> NodeState:
        """Its state at that moment."""
        if self.gone_at is not None and now >= self.gone_at:
            return NodeState.GONE
        if now >= self.expires_at:
            return NodeState.GONE
        ended = self.end is not None and now >= self.end.at
        if self.end is not None and ended and self.end.ending not in LEFT_STOPPED:
            return NodeState.GONE
        if self.destroyed_at is not None and now >= self.destroyed_at:
            return NodeState.GOING
        if ended:
            return NodeState.STOPPED
        return NodeState.RUNNING if now >= self.runs_at else NodeState.PENDING

    def fate(self, now: float) -> Fate:
        """What the cloud says became of it."""
        if self.end is not None and now >= self.end.at:
            return FATES[self.end.ending]
        if self.state(now) is NodeState.GONE:
            expired = self.destroyed_at is None
            return Fate(FateKind.VANISHED, "its time to live is over" if expired else "destroyed")
        return Fate(FateKind.ALIVE, self.state(now).value)


def door(
    location: str,
    its: Mapping[str, str],
    open_ports: Iterable[int],
    allow_from: Iterable[str],
    open_between: Iterable[str],
) -> str:
    """See `Machine.door`; `its` are labels."""
    run = [its.get(labels.DEPLOYMENT, ""), its.get(labels.RUN, "")]
    parts = [location, *run, *map(str, open_ports), *allow_from, *open_between]
    return " ".join(parts)


class Thing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A billed or named thing that is not a machine."""

    kind: str
    id: str
    location: str
    labels: dict[str, str]
    listed_at: float = 0.0
    """From then on listings show it (Unix seconds)."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call that reached the cloud."""

    number: int
    """Counted from 1 over all calls."""
    name: str
    location: str
    at: float
    detail: str = ""
    error: str = ""
    """The class of the error that was answered."""


class CloudState(msgspec.Struct, kw_only=True):
    """All of a fake cloud."""

    serial: int = 0
    """Makes ids unique."""
    machines: dict[str, Machine] = {}
    things: dict[str, Thing] = {}
    admitted: dict[str, tuple[str, ...]] = {}
    """Door to the addresses elsewhere that reach `open_between` as well."""
    faults: list[AnyFault] = []
    matched: dict[str, int] = {}
    """How many calls each fault has matched."""
    counts: dict[str, int] = {}
    """How often each call was made."""
    calls: list[CallRecord] = []
    """The last calls."""

    def new_id(self, prefix: str) -> str:
        """An id that was never used before."""
        self.serial += 1
        return f"{prefix}-{self.serial:06d}"

    def change(self, machine: Machine, **changes: object) -> Machine:
        """Replace a machine by one with these changes."""
        changed = msgspec.structs.replace(machine, **changes)
        self.machines[machine.id] = changed
        return changed

    def using(self, thing: Thing, now: float) -> bool:
        """True while a machine that exists uses the thing."""
        return any(m.group == thing.id and m.exists(now) for m in self.machines.values())
