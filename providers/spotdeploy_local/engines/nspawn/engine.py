"""The engine that boots machines with systemd-nspawn. Linux and root only.

What changes machines is imported when it is first used: listing, the commonest command, would
otherwise take twice as long.
"""

from __future__ import annotations

import errno
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.model import Problem
from spotdeploy_local.engine import Engine, Leftover, Machine, MachineSpec, Progress, Started
from spotdeploy_local.layout import STATE_VARIABLE, Layout
from spotdeploy_local.machine_dir import read

if TYPE_CHECKING:
    import socket

    from filelock import FileLock

    from spotdeploy_local.engines.nspawn.leftovers import Leftovers
    from spotdeploy_local.image.cache import Images
    from spotdeploy_local.linux.cgroups import Groups
    from spotdeploy_local.network.networks import Networks

_REMOVERS = 8


@dataclass(frozen=True, slots=True)
class NspawnEngine(Engine):
    """Machines as systemd-nspawn containers, each with its own systemd, network and disk."""

    layout: Layout
    held: dict[str, int] = field(default_factory=dict)
    """See `Networks.held`."""

    def machines(self) -> Sequence[Machine]:
        return read.machines(self.layout.machines)

    def console(self, machine: str) -> str:
        return read.console(self._folder(machine))

    def problems(self) -> Sequence[Problem]:
        from spotdeploy_local.image.recipe import BASE
        from spotdeploy_local.linux import host

        return host.problems(self.layout, has_image=self._images().is_whole(BASE))

    def room(self) -> int:
        from spotdeploy_local.linux import host

        return host.room()

    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        self._refuse_unfit_host()
        self._image(progress, cloud_init=cloud_init)

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        from spotdeploy_local.engines.nspawn.launch import launch
        from spotdeploy_local.linux import host
        from spotdeploy_local.specs import check_specs

        check_specs(specs)
        self._refuse_unfit_host()
        host.raise_limit()
        wanted = list({spec.id: spec for spec in specs}.values())
        self._write_missing(wanted)
        folders = [self.layout.machine(spec.id) for spec in wanted]
        failures = launch([folder for folder in folders if read.never_started(folder)])
        failed = {folder.name: words for folder, words in failures.items()}
        self.destroy(list(failed))
        machines = (read.read(folder) for folder in folders if folder.name not in failed)
        return Started(tuple(machine for machine in machines if machine), failed)

    def stop(self, ids: Sequence[str]) -> None:
        _refuse_stuck(self._groups().end(ids))

    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        from spotdeploy_local.machine_dir import write

        words = f"interrupted by request with {notice_seconds:g} s notice"
        write.write_notice(self._folder(machine), words)
        time.sleep(notice_seconds)
        self.stop([machine])

    def destroy(self, ids: Sequence[str]) -> None:
        going = sorted(set(ids))
        if not going:
            return
        with self._lock():
            for machine in going:
                with suppress(FileNotFoundError):
                    self.layout.machine(machine).rename(self.layout.being_removed(machine))
        stuck = self._groups().end(going)
        self._remove_folders([machine for machine in going if machine not in stuck])
        self._remove_idle_networks()
        _refuse_stuck(stuck)

    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        from spotdeploy_local.network import dial

        there = read.read(self.layout.machine(machine))
        if there is None:
            raise OSError(errno.EHOSTUNREACH, f"there is no machine {machine}")
        return dial.dial(self.layout.switch(there.network), there.address, port, timeout)

    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        from spotdeploy_local.network import dial

        there = read.read(self._folder(machine))
        if there is None:
            raise ProviderError(f"there is no machine {machine}")
        return dial.proxy_command(self.layout.switch(there.network), there.address, port)

    def hold_network(self, network: str) -> Path:
        with self._lock():
            return self._networks().hold(network)

    def drop_network(self, network: str) -> None:
        self._networks().drop(network)
        self._remove_idle_networks()

    def leftovers(self) -> Sequence[Leftover]:
        with self._lock():
            return self._leftovers().find(self.machines())

    def release(self, leftovers: Sequence[Leftover]) -> None:
        wanted = {(one.kind, one.id) for one in leftovers}
        with self._lock():
            still = self._leftovers().find(self.machines())
            self._leftovers().release([one for one in still if (one.kind, one.id) in wanted])

    def manual_delete_command(self, kind: str, thing: str) -> str:
        return self._leftovers().manual_delete_command(kind, thing)

    def manual_list_command(self, values: Sequence[str]) -> str:
        wanted = "".join(f" -e {shlex.quote(value)}" for value in values)
        return f"grep -rlF{wanted} {shlex.quote(str(self.layout.machines))} --include=*.json"

    def _write_missing(self, specs: Sequence[MachineSpec]) -> None:
        from spotdeploy_local.linux.host import explained
        from spotdeploy_local.specs import assign_addresses

        kinds = {spec.cloud_init for spec in specs}
        trees = {kind: self._image(_silent, cloud_init=kind) for kind in kinds}
        groups, networks = self._groups(), self._networks()
        with explained(self.layout.state, STATE_VARIABLE), self._lock():
            existing = self.machines()
            known = {machine.id for machine in existing}
            new = [spec for spec in specs if spec.id not in known]
            for spec, address in assign_addresses(new, existing):
                self._write_folder(spec, address, trees[spec.cloud_init], groups)
            for spec in specs:
                networks.ensure(spec.network)
                groups.create(spec.id)

    def _write_folder(self, spec: MachineSpec, address: str, tree: Path, groups: Groups) -> None:
        """The folder gets its name when it is whole, so that no half of one is ever listed."""
        from spotdeploy_local.engines.nspawn.plan import make_plan
        from spotdeploy_local.machine_dir import write

        folder, part = self.layout.machine(spec.id), self.layout.being_written(spec.id)
        plan = make_plan(
            spec,
            address,
            folder,
            tree,
            self.layout.switch(spec.network),
            groups.entries(spec.id, "engine"),
            groups.entries(spec.id, "node"),
        )
        write.write(part, spec, address, tree, plan)
        part.rename(folder)

    def _refuse_unfit_host(self) -> None:
        for problem in self.problems():
            if problem.fatal:
                raise HostError(problem.what, hint=problem.remedy)

    def _remove_folders(self, machines: Sequence[str]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        from spotdeploy_local.machine_dir.write import remove

        with ThreadPoolExecutor(_REMOVERS) as pool:
            list(pool.map(remove, map(self.layout.being_removed, machines)))

    def _remove_idle_networks(self) -> None:
        with self._lock():
            networks = self._networks()
            for network in networks.idle({machine.network for machine in self.machines()}):
                networks.remove(network)

    def _folder(self, machine: str) -> Path:
        folder = self.layout.machine(machine)
        if not folder.is_dir():
            raise ProviderError(f"there is no machine {machine}")
        return folder

    def _image(self, progress: Progress, *, cloud_init: bool) -> Path:
        from spotdeploy_local.image.recipe import BASE, CLOUD_INIT

        return self._images().build(CLOUD_INIT if cloud_init else BASE, progress)

    def _images(self) -> Images:
        from spotdeploy_local.image.build import mmdebstrap
        from spotdeploy_local.image.cache import Images

        return Images(self.layout.cache, mmdebstrap)

    def _groups(self) -> Groups:
        from spotdeploy_local.linux.cgroups import Groups

        return Groups.mounted(self.layout.group)

    def _networks(self) -> Networks:
        from spotdeploy_local.network.networks import Networks

        return Networks(self.layout, self.held)

    def _leftovers(self) -> Leftovers:
        from spotdeploy_local.engines.nspawn.leftovers import Leftovers

        return Leftovers(self.layout, self._groups(), self._networks())

    def _lock(self) -> FileLock:
        from filelock import FileLock

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
