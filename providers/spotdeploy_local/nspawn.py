"""The engine that boots machines with systemd-nspawn. Linux and root only."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.model import Problem
from spotdeploy_local import dial, disk, host
from spotdeploy_local.cgroups import Groups, hierarchies
from spotdeploy_local.diskspace import explained
from spotdeploy_local.engine import Engine, Leftover, Machine, MachineSpec, Progress, Started
from spotdeploy_local.furnish import Furnisher
from spotdeploy_local.launch import launch
from spotdeploy_local.layout import STATE_VARIABLE, Layout
from spotdeploy_local.leftovers import Leftovers, remove_folder
from spotdeploy_local.networks import Networks
from spotdeploy_local.recipe import BASE, CLOUD_INIT
from spotdeploy_local.root import Images, mmdebstrap
from spotdeploy_local.validate import check_specs

_REMOVERS = 8


@dataclass(frozen=True, slots=True)
class NspawnEngine(Engine):
    """Machines as systemd-nspawn containers, each with its own systemd, network and disk."""

    layout: Layout
    images: Images
    groups: Groups
    networks: Networks

    @classmethod
    def at(cls, layout: Layout) -> NspawnEngine:
        """An engine that keeps its things at these places."""
        trees = hierarchies(Path("/proc/self/mountinfo").read_text())
        groups = Groups(layout.group, trees)
        return cls(layout, Images(layout.cache, mmdebstrap), groups, Networks(layout))

    def problems(self) -> Sequence[Problem]:
        return host.problems(self.layout, has_image=self.images.is_whole(BASE))

    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        self._refuse_unfit_host()
        self.images.build(CLOUD_INIT if cloud_init else BASE, progress)

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        check_specs(specs)
        wanted = list({spec.id: spec for spec in specs}.values())
        self._furnish(wanted)
        folders = [self.layout.machine(spec.id) for spec in wanted]
        failures = launch([folder for folder in folders if disk.never_started(folder)])
        failed = {folder.name: words for folder, words in failures.items()}
        self.destroy(list(failed))
        machines = (disk.read(folder) for folder in folders if folder.name not in failed)
        return Started(tuple(machine for machine in machines if machine), failed)

    def machines(self) -> Sequence[Machine]:
        with suppress(FileNotFoundError), os.scandir(self.layout.machines) as entries:
            folders = [Path(e.path) for e in entries if not e.name.startswith(".part-")]
            found = (disk.read(folder) for folder in folders)
            return sorted((m for m in found if m), key=lambda m: (m.created_at, m.id))
        return []

    def stop(self, ids: Sequence[str]) -> None:
        _refuse_stuck(self.groups.end(ids))

    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        words = f"interrupted by request with {notice_seconds:g} s notice"
        disk.write_notice(self._folder(machine), words)
        time.sleep(notice_seconds)
        self.stop([machine])

    def destroy(self, ids: Sequence[str]) -> None:
        going = sorted(set(ids))
        if not going:
            return
        with self._lock():
            for machine in going:
                with suppress(FileNotFoundError):
                    self.layout.machine(machine).rename(self.layout.going(machine))
        stuck = self.groups.end(going)
        with ThreadPoolExecutor(_REMOVERS) as pool:
            gone = (machine for machine in going if machine not in stuck)
            list(pool.map(remove_folder, map(self.layout.going, gone)))
        self._remove_idle_networks()
        _refuse_stuck(stuck)

    def console(self, machine: str) -> str:
        return disk.console(self._folder(machine))

    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        there = disk.read(self.layout.machine(machine))
        if there is None:
            raise OSError(errno.EHOSTUNREACH, f"there is no machine {machine}")
        return dial.dial(self.layout.switch(there.network), there.address, port, timeout)

    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        there = self._machine(machine)
        return dial.proxy_command(self.layout.switch(there.network), there.address, port)

    def hold_network(self, network: str) -> Path:
        with self._lock():
            return self.networks.hold(network)

    def drop_network(self, network: str) -> None:
        self.networks.drop(network)
        self._remove_idle_networks()

    def leftovers(self) -> Sequence[Leftover]:
        with self._lock():
            return self._leftovers().find(self.machines())

    def release(self, leftovers: Sequence[Leftover]) -> None:
        with self._lock():
            wanted = {(one.kind, one.id) for one in leftovers}
            still = self._leftovers().find(self.machines())
            self._leftovers().release([one for one in still if (one.kind, one.id) in wanted])

    def by_hand(self, kind: str, thing: str) -> str:
        return self._leftovers().by_hand(kind, thing)

    def _furnish(self, specs: Sequence[MachineSpec]) -> None:
        self._refuse_unfit_host()
        kinds = {spec.cloud_init for spec in specs}
        trees = {kind: self.images.build(CLOUD_INIT if kind else BASE, _silent) for kind in kinds}
        furnisher = Furnisher(self.layout, self.groups, self.networks)
        with explained(self.layout.state, STATE_VARIABLE), self._lock():
            furnisher.furnish(specs, self.machines(), trees)

    def _refuse_unfit_host(self) -> None:
        for problem in self.problems():
            if problem.fatal:
                raise HostError(problem.what, hint=problem.remedy)

    def _remove_idle_networks(self) -> None:
        with self._lock():
            for network in self.networks.idle({machine.network for machine in self.machines()}):
                self.networks.remove(network)

    def _leftovers(self) -> Leftovers:
        return Leftovers(self.layout, self.groups, self.networks)

    def _machine(self, machine: str) -> Machine:
        found = disk.read(self._folder(machine))
        if found is None:
            raise ProviderError(f"there is no machine {machine}", hint="list the machines")
        return found

    def _folder(self, machine: str) -> Path:
        folder = self.layout.machine(machine)
        if not folder.is_dir():
            raise ProviderError(f"there is no machine {machine}")
        return folder

    def _lock(self) -> FileLock:
        self.layout.machines.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.layout.lock)


def _refuse_stuck(machines: Sequence[str]) -> None:
    if machines:
        raise ProviderError(
            f"the processes of {', '.join(machines)} do not end, even when killed",
            hint="look for tasks in state D, then destroy again",
        )


def _silent(_: str) -> None:
    """For callers that have shown the progress before."""
