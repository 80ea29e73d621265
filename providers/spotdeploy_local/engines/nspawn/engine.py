"""The engine that boots machines with systemd-nspawn. Linux and root only.

Listing is the commonest command and needs few imports: what changes machines is in `lifecycle`,
which is imported when it is first used.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spotdeploy.errors import ProviderError
from spotdeploy.model import Cached, Problem
from spotdeploy_local.engine import LabEngine, Leftover, Machine, MachineSpec, Progress, Started
from spotdeploy_local.image.releases import DEFAULT
from spotdeploy_local.layout import Layout
from spotdeploy_local.machine_dir import read

if TYPE_CHECKING:
    import socket

    from spotdeploy_local.engines.nspawn.lifecycle import Lifecycle


@dataclass(frozen=True, slots=True)
class NspawnEngine(LabEngine):
    """Machines as systemd-nspawn containers, each with its own systemd, network and disk."""

    layout: Layout
    held: dict[str, int] = field(default_factory=dict)
    """See `Networks.held`."""
    image: str = DEFAULT

    @property
    def lifecycle(self) -> Lifecycle:
        """Everything but reading."""
        from spotdeploy_local.engines.nspawn.lifecycle import Lifecycle

        return Lifecycle(self.layout, self.held, self.image)

    def machines(self) -> Sequence[Machine]:
        return read.machines(self.layout.machines)

    def console(self, machine: str) -> str:
        folder = self.layout.machine(machine)
        if not folder.is_dir():
            raise ProviderError(f"there is no machine {machine}")
        return read.console(folder)

    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        from spotdeploy_local.network.dial import dial

        found = read.machine(self.layout.machine(machine))
        if found is None:
            raise OSError(errno.EHOSTUNREACH, f"there is no machine {machine}")
        return dial(self.layout.switch(found.network), found.address, port, timeout)

    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        from spotdeploy_local.network.dial import proxy_command

        found = read.machine(self.layout.machine(machine))
        if found is None:
            raise ProviderError(f"there is no machine {machine}")
        return proxy_command(self.layout.switch(found.network), found.address, port)

    def manual_list_command(self, values: Sequence[str]) -> str:
        patterns = "".join(f" -e {shlex.quote(value)}" for value in values)
        return f"grep -rlF{patterns} {shlex.quote(str(self.layout.machines))} --include=*.json"

    def problems(self) -> Sequence[Problem]:
        return self.lifecycle.problems()

    def auto_shutdown(self) -> str:
        return "its supervisor on this host"

    def filter_problems(self) -> Sequence[Problem]:
        return self.lifecycle.filter_problems()

    def room(self) -> int:
        return self.lifecycle.room()

    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        self.lifecycle.prepare(progress, cloud_init=cloud_init)

    def cached(self, *, cloud_init: bool = False) -> Sequence[Cached]:
        return self.lifecycle.cached(cloud_init=cloud_init)

    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        return self.lifecycle.discard(things)

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        return self.lifecycle.start_all(specs)

    def stop(self, ids: Sequence[str]) -> None:
        self.lifecycle.stop(ids)

    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        self.lifecycle.preempt(machine, notice_seconds)

    def destroy(self, ids: Sequence[str]) -> None:
        self.lifecycle.destroy(ids)

    def hold_network(self, network: str) -> Path:
        return self.lifecycle.hold_network(network)

    def drop_network(self, network: str) -> None:
        self.lifecycle.drop_network(network)

    def leftovers(self) -> Sequence[Leftover]:
        return self.lifecycle.leftovers()

    def release(self, leftovers: Sequence[Leftover]) -> None:
        self.lifecycle.release(leftovers)

    def manual_delete_command(self, kind: str, thing: str) -> str:
        return self.lifecycle.manual_delete_command(kind, thing)
