"""A real machine behind each instance of a lab's cloud, made and ended as instances come and go."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from spotdeploy.errors import SpotdeployError
from spotdeploy_local.engine import Engine, Machine, MachineSpec, MachineState, Started

LOOK_SECONDS = 0.25


class Wish(Enum):
    """What the cloud wants of an instance's machine."""

    RUN = "run"
    STOP = "stop"
    """No power, but its disk stays."""
    GO = "go"


@dataclass(frozen=True, slots=True)
class Guest:
    """An instance, as far as its machine must know."""

    id: str
    """1 to 100 characters of [a-z0-9_-]."""
    name: str
    wish: Wish
    user_data: bytes
    private: str
    public: str | None = None


class Landlord(Protocol):
    """The cloud, as the hypervisor sees it. Called from the hypervisor's thread."""

    def guests(self) -> Sequence[Guest]:
        """Every instance there ever was."""

    def booted(self, guest: str) -> None:
        """The instance's machine runs now."""

    def powered_off(self, guest: str) -> None:
        """The machine has shut itself down, which nobody wished."""

    def failed(self, guest: str, words: str) -> None:
        """No machine could be made."""


class Hypervisor:
    """Keeps the machines of one cloud as it wishes them. Others may be in the same network."""

    def __init__(self, engine: Engine, network: str, landlord: Landlord) -> None:
        """The engine must be prepared."""
        self._engine, self._network, self._landlord = engine, network, landlord
        self.started: set[str] = set()
        """The ids of guests that a machine was ever made for, or tried."""
        self.files: Mapping[str, bytes] = {}
        """Put on the disk of each machine before its first boot: path to content."""
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.failures: list[str] = []
        """What went wrong in starting machines."""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something has changed."""
        self._wake.set()

    def stop(self) -> None:
        """End every machine, and stop."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._engine.destroy([machine.id for machine in self.machines()])

    def machines(self) -> list[Machine]:
        """The machines that are there now."""
        there = [m for m in self._engine.machines() if m.network == self._network]
        return [machine for machine in there if machine.id in self.started]

    def console(self, guest: str) -> str:
        """What a machine printed."""
        return self._engine.console(guest)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            self._reconcile()

    def _reconcile(self) -> None:
        there = {machine.id: machine for machine in self.machines()}
        guests = {guest.id: guest for guest in self._landlord.guests()}
        wishes = {id_: guests[id_].wish for id_ in there if id_ in guests}
        self._engine.destroy([id_ for id_, wish in wishes.items() if wish is Wish.GO])
        running = {id_ for id_, machine in there.items() if machine.state is MachineState.RUNNING}
        self._engine.stop([id_ for id_ in running if wishes.get(id_) is Wish.STOP])
        for id_, machine in there.items():
            if machine.state is MachineState.STOPPED and wishes.get(id_) is Wish.RUN:
                self._landlord.powered_off(id_)
        new = [g for g in guests.values() if g.wish is Wish.RUN and g.id not in self.started]
        if new:
            self._start(new)

    def _start(self, guests: Sequence[Guest]) -> None:
        self.started |= {guest.id for guest in guests}
        try:
            started = self._engine.start_all([self._spec(guest) for guest in guests])
        except SpotdeployError as error:
            started = Started((), {guest.id: error.message for guest in guests})
        for machine in started.machines:
            self._landlord.booted(machine.id)
        for id_, words in started.failures.items():
            self.failures.append(f"{id_}: {words}")
            self._landlord.failed(id_, words)

    def _spec(self, guest: Guest) -> MachineSpec:
        return MachineSpec(
            id=guest.id,
            name=guest.name,
            user_data=guest.user_data,
            network=self._network,
            address=guest.private,
            extra_addresses=(guest.public,) if guest.public else (),
            files=self.files,
        )
