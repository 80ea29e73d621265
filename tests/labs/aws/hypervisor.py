"""A real machine behind each instance, started and ended as the instances come and go."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Sequence

from spotdeploy_local.engine import Engine, Machine, MachineSpec, MachineState
from tests.labs.aws.cloud import POWERED_OFF, Cloud, Instance

End = Callable[[Sequence[str], str], None]
"""Ends instances of one region, for a reason."""
LOOK_SECONDS = 0.25


class Hypervisor:
    """Keeps the machines of one network what the instances say."""

    def __init__(self, engine: Engine, network: str, cloud: Cloud, end: End) -> None:
        """`end` tells the cloud of an instance that powered itself off."""
        self._engine, self._network, self._cloud, self._end = engine, network, cloud, end
        self._started: set[str] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.failures: list[str] = []
        """What went wrong in starting machines."""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._cloud.boots_later = True
        self._cloud.on_change.append(self._wake.set)
        self._thread.start()

    def stop(self) -> None:
        """End every machine, and stop."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._engine.destroy([machine.id for machine in self.machines()])

    def machines(self) -> list[Machine]:
        """The machines that are there now."""
        return [m for m in self._engine.machines() if m.network == self._network]

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            self._reconcile()

    def _reconcile(self) -> None:
        there = {machine.id: machine for machine in self.machines()}
        known = dict(self._cloud.known)
        ended = [id_ for id_ in there if id_ in known and known[id_].ended]
        self._engine.destroy(ended)
        wanted = [
            instance
            for id_, instance in known.items()
            if not instance.ended and id_ not in self._started
        ]
        if wanted:
            self._start(wanted)
        for id_, machine in there.items():
            if machine.state is MachineState.STOPPED and not known[id_].ended:
                self._end([id_], POWERED_OFF)

    def _start(self, instances: Sequence[Instance]) -> None:
        self._started |= {instance.id for instance in instances}
        started = self._engine.start_all([_spec(one, self._network) for one in instances])
        for machine in started.machines:
            self._cloud.known[machine.id].running = True
        for id_, words in started.failures.items():
            self.failures.append(f"{id_}: {words}")
            self._end([id_], "Server.InternalError: Internal error on launch")


def _spec(instance: Instance, network: str) -> MachineSpec:
    return MachineSpec(
        id=instance.id,
        name=instance.id,
        user_data=base64.b64decode(instance.user_data),
        network=network,
        address=instance.private_address,
        extra_addresses=(instance.address,) if instance.address else (),
    )
