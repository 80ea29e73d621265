"""A real machine behind each instance of a lab's cloud, made and ended as instances come and go."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from spotdeploy.errors import SpotdeployError
from spotdeploy.ports import PortRange
from spotdeploy_local.engine import Engine, Machine, MachineSpec, MachineState, Started

LOOK_SECONDS = 0.25


class DesiredState(Enum):
    """What the cloud wants of an instance's machine."""

    RUNNING = "running"
    STOPPED = "stopped"
    """No power, but its disk stays."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Guest:
    """An instance, as far as its machine must know."""

    id: str
    """1 to 100 characters of [a-z0-9_-]."""
    name: str
    desired: DesiredState
    user_data: bytes
    private: str
    public: str | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What reaches an instance's private address from other machines, as the cloud's rules have it
    when it is made. Its public address none of them reaches."""

    names: tuple[str, ...]
    """What the cloud's rules may call it by: ids of groups, or tags."""
    source: str
    """The name of those that it lets in."""
    ports: tuple[PortRange, ...]


class GuestOwner(Protocol):
    """The cloud, as the hypervisor sees it. Called from the hypervisor's thread."""

    def guests(self) -> Sequence[Guest]:
        """Every instance there ever was."""

    def neighbours(self, guest: str) -> Neighbours:
        """What others reach of it."""

    def booted(self, guest: str) -> None:
        """The instance's machine runs now."""

    def powered_off(self, guest: str) -> None:
        """The machine has shut itself down, which nobody asked for."""

    def failed(self, guest: str, words: str) -> None:
        """No machine could be made."""


class Hypervisor:
    """Keeps the machines of one cloud as it wants them. Others may be in the same network."""

    def __init__(self, engine: Engine, network: str, owner: GuestOwner) -> None:
        """The engine must be prepared."""
        self._engine, self._network, self._owner = engine, network, owner
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
        """What a machine printed; nothing once it is gone."""
        there = any(machine.id == guest for machine in self.machines())
        return self._engine.console(guest) if there else ""

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            self._reconcile()

    def _reconcile(self) -> None:
        there = {machine.id: machine for machine in self.machines()}
        guests = {guest.id: guest for guest in self._owner.guests()}
        desired_states = {id_: guests[id_].desired for id_ in there if id_ in guests}
        self._engine.destroy(
            [id_ for id_, desired in desired_states.items() if desired is DesiredState.GONE]
        )
        running = {id_ for id_, machine in there.items() if machine.state is MachineState.RUNNING}
        self._engine.stop(
            [id_ for id_ in running if desired_states.get(id_) is DesiredState.STOPPED]
        )
        for id_, machine in there.items():
            if (
                machine.state is MachineState.STOPPED
                and desired_states.get(id_) is DesiredState.RUNNING
            ):
                self._owner.powered_off(id_)
        new = [
            g
            for g in guests.values()
            if g.desired is DesiredState.RUNNING and g.id not in self.started
        ]
        if new:
            self._start(new)

    def _start(self, guests: Sequence[Guest]) -> None:
        self.started |= {guest.id for guest in guests}
        try:
            started = self._engine.start_all([self._spec(guest) for guest in guests])
        except SpotdeployError as error:
            started = Started((), {guest.id: error.message for guest in guests})
        for machine in started.machines:
            self._owner.booted(machine.id)
        for id_, words in started.failures.items():
            self.failures.append(f"{id_}: {words}")
            self._owner.failed(id_, words)

    def _spec(self, guest: Guest) -> MachineSpec:
        neighbours = self._owner.neighbours(guest.id)
        return MachineSpec(
            id=guest.id,
            name=guest.name,
            user_data=guest.user_data,
            network=self._network,
            address=guest.private,
            extra_addresses=(guest.public,) if guest.public else (),
            open_between=neighbours.ports,
            open_to=neighbours.source,
            names=neighbours.names,
            files=self.files,
        )
