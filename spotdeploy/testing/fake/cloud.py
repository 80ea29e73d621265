"""The fake cloud: what a provider may ask of it, and what a test may do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from spotdeploy import labels as label_rules
from spotdeploy.errors import LostReplyError
from spotdeploy.model import Batch, Fate, FateKind, Offer
from spotdeploy.testing.clock import Clock, SystemClock
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.create import CreateResult, give_birth
from spotdeploy.testing.fake.dispatch import Dispatch, kill_this_process
from spotdeploy.testing.fake.faults import AnyFault, Ending, Script
from spotdeploy.testing.fake.machine import CallRecord, CloudState, End, Machine, Thing, door
from spotdeploy.testing.fake.store import MemoryStore, Store

CLAIM: Final = "claim"
GOING_SECONDS: Final = 0.5
"""How long a destroyed machine is going before it is gone."""


class FakeCloud:
    """A cloud that keeps the books, and goes wrong by script.

    Any number of providers may share one, from any thread. With a `FileStore`, separate processes
    see the same cloud.
    """

    def __init__(
        self,
        store: Store | None = None,
        clock: Clock | None = None,
        script: Iterable[AnyFault] = (),
        *,
        crash: Callable[[], None] = kill_this_process,
    ) -> None:
        """`script` goes on top of the faults in the state. `crash` is called where a `Crash`
        fault hits, between the effect of a call and its answer."""
        self.clock = clock or SystemClock()
        self._store = store or MemoryStore()
        self._dispatch = Dispatch(self._store, self.clock, script, crash)

    def create(self, offer: Offer, batch: Batch) -> tuple[tuple[Machine, ...], str | None]:
        """Make machines, or give those that the token made before; and why not more.

        Raises CapacityError, QuotaError or LostReplyError.
        """

        def effect(state: CloudState, script: Script, now: float) -> CreateResult:
            return give_birth(state, script, now, offer, batch)

        birth = self._dispatch.call("create", offer.location, effect, f"{batch.count} of {offer}")
        if not birth.answered:
            raise LostReplyError("no answer to create within the time limit", code="Timeout")
        return birth.machines, birth.shortfall

    def list_machines(self, location: str, labels: Mapping[str, str]) -> list[Machine]:
        """The machines that exist there and carry all these labels."""

        def effect(state: CloudState, script: Script, now: float) -> list[Machine]:
            shown = [
                machine
                for machine in list(state.machines.values())
                if machine.location == location
                and machine.exists(now)
                and label_rules.matches(machine.labels, labels)
                and _is_listed(state, machine, now)
            ]
            blinks = script.hits(faults.Blink) if shown else []
            return shown[sum(blink.nodes for blink in blinks) :]

        return self._dispatch.call("nodes", location, effect)

    def destroy(self, location: str, ids: Sequence[str]) -> dict[str, str]:
        """Begin to end these machines; unknown ids are passed over. Gives the refused ones."""

        def effect(state: CloudState, script: Script, now: float) -> dict[str, str]:
            found = [m for id_ in ids if (m := state.machines.get(id_)) and m.exists(now)]
            refused = _refused(script, found)
            _begin_to_end(state, script, now, [m for m in found if m.id not in refused])
            return dict.fromkeys(refused, "it is protected from deletion")

        return self._dispatch.call("destroy", location, effect, " ".join(ids))

    def claim(self, location: str, labels: Mapping[str, str]) -> Thing:
        """The claim of the labels' deployment, made unless there is one."""
        deployment = labels[label_rules.DEPLOYMENT]

        def effect(state: CloudState, script: Script, now: float) -> Thing:
            del script, now
            for thing in state.things.values():
                its = (thing.kind, thing.location, thing.labels.get(label_rules.DEPLOYMENT))
                if its == (CLAIM, location, deployment):
                    return thing
            made = Thing(kind=CLAIM, id=state.new_id(CLAIM), location=location, labels=dict(labels))
            state.things[made.id] = made
            return made

        return self._dispatch.call("claim", location, effect, deployment)

    def admit(self, location: str, batch: Batch, addresses: Sequence[str]) -> None:
        """Let these addresses in where machines of the batch's run let in what it does."""
        between = map(str, batch.open_between or ())
        opened = door(location, batch.labels, batch.open_ports, batch.allow_from, between)

        def effect(state: CloudState, script: Script, now: float) -> None:
            del script, now
            state.admitted[opened] = tuple(addresses)

        self._dispatch.call("admit", location, effect, " ".join(addresses))

    def list_things(self, location: str, labels: Mapping[str, str]) -> list[Thing]:
        """The resources there that carry all these labels."""

        def effect(state: CloudState, script: Script, now: float) -> list[Thing]:
            del script
            return [
                thing
                for thing in state.things.values()
                if thing.location == location
                and now >= thing.listed_at
                and label_rules.matches(thing.labels, labels)
            ]

        return self._dispatch.call("leftovers", location, effect)

    def release(self, location: str, ids: Sequence[str]) -> list[str]:
        """Delete these resources; unknown ids are passed over. Gives those still in use."""

        def effect(state: CloudState, script: Script, now: float) -> list[str]:
            found = [thing for id_ in ids if (thing := state.things.get(id_))]
            stuck = bool(found and script.hits(faults.StuckResource))
            used = [thing.id for thing in found if stuck or state.using(thing, now)]
            for thing in found:
                if thing.id not in used:
                    del state.things[thing.id]
            return used

        return self._dispatch.call("release", location, effect, " ".join(ids))

    def fate(self, location: str, id_: str) -> Fate:
        """What became of a machine."""

        def effect(state: CloudState, script: Script, now: float) -> Fate:
            del script
            machine = state.machines.get(id_)
            return machine.fate(now) if machine else Fate(FateKind.VANISHED, "no such machine")

        return self._dispatch.call("fate", location, effect, id_)

    def ping(self, call: faults.Call, location: str) -> None:
        """A call that only shows whether the cloud answers."""
        self._dispatch.call(call, location, lambda *_: None)

    def script(self, *more: AnyFault) -> None:
        """Add faults to the state."""
        with self._store.transaction() as state:
            state.faults += more

    def heal(self) -> None:
        """Forget the faults of the state, and let stuck machines go."""
        now = self.clock.now()
        with self._store.transaction() as state:
            state.faults.clear()
            for machine in list(state.machines.values()):
                if machine.destroyed_at is not None and machine.gone_at is None:
                    state.change(machine, gone_at=now)

    def end(self, id_: str, ending: Ending) -> None:
        """End a machine now, the cloud's way. Raises KeyError for an unknown id."""
        with self._store.transaction() as state:
            state.change(state.machines[id_], end=End(self.clock.now(), ending))

    def machine(self, id_: str) -> Machine:
        """A machine, existing or gone. Not a call. Raises KeyError for an unknown id."""
        with self._store.transaction() as state:
            return state.machines[id_]

    def admitted(self, id_: str) -> tuple[str, ...]:
        """The addresses elsewhere that a machine lets in. Not a call."""
        with self._store.transaction() as state:
            return state.admitted.get(state.machines[id_].door, ())

    def billed(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """The ids of everything that exists or is still to appear, or of what has these labels.
        Not a call."""
        now = self.clock.now()
        with self._store.transaction() as state:
            machines = [m for m in state.machines.values() if m.exists(max(now, m.appears_at))]
            things = [thing for thing in state.things.values() if thing.kind != CLAIM]
            every: list[Machine | Thing] = [*machines, *things]
            return [
                one.id for one in every if not labels or label_rules.matches(one.labels, labels)
            ]

    def inventory(self) -> list[str]:
        """The ids of everything that exists or is still to appear, claims too. Not a call."""
        with self._store.transaction() as state:
            claims = [thing.id for thing in state.things.values() if thing.kind == CLAIM]
        return [*self.billed(), *claims]

    def calls(self) -> list[CallRecord]:
        """The last calls that reached the cloud, oldest first."""
        with self._store.transaction() as state:
            return list(state.calls)

    def count(self, call: str | None = None) -> int:
        """How many calls were made: of all names, or of one."""
        with self._store.transaction() as state:
            return sum(state.counts.values()) if call is None else state.counts.get(call, 0)


def _is_listed(state: CloudState, machine: Machine, now: float) -> bool:
    if machine.hidden_listings:
        state.change(machine, hidden_listings=machine.hidden_listings - 1)
        return False
    return now >= machine.listed_at


def _refused(script: Script, machines: Sequence[Machine]) -> list[str]:
    refused: list[str] = []
    ids = [machine.id for machine in machines]
    hits = script.hits(faults.RefuseDestroy, lambda f: f.id in ids if f.id else bool(ids))
    for fault in hits:
        here = [id_ for id_ in ids if fault.id in (None, id_)]
        refused += here[: fault.nodes]
    return refused


def _begin_to_end(
    state: CloudState, script: Script, now: float, machines: Sequence[Machine]
) -> None:
    fresh = [machine for machine in machines if machine.destroyed_at is None]
    if not fresh:
        return
    slow = max((f.seconds for f in script.hits(faults.SlowGoing)), default=GOING_SECONDS)
    stuck = sum(fault.nodes for fault in script.hits(faults.Stuck))
    disks = script.hits(faults.OrphanDisk)
    for index, machine in enumerate(fresh):
        gone_at = None if index < stuck else now + slow
        state.change(machine, destroyed_at=now, gone_at=gone_at)
        if disks:
            disk = state.new_id("disk")
            state.things[disk] = Thing(
                kind="disk", id=disk, location=machine.location, labels=machine.labels
            )
