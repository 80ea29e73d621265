"""Making and ending the machines of one layout."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.model import Cached, Problem
from spotdeploy_local.engine import Leftover, MachineSpec, Progress, Started
from spotdeploy_local.engines.nspawn.confinement import Confinement, confinement
from spotdeploy_local.engines.nspawn.launch import launch
from spotdeploy_local.engines.nspawn.leftovers import Leftovers
from spotdeploy_local.engines.nspawn.plan import make_plan
from spotdeploy_local.image.build import mmdebstrap
from spotdeploy_local.image.cache import Images
from spotdeploy_local.image.recipe import Recipe, recipe_of
from spotdeploy_local.image.releases import DEFAULT
from spotdeploy_local.layout import STATE_VARIABLE, Layout
from spotdeploy_local.linux import host
from spotdeploy_local.linux.cgroups import Groups
from spotdeploy_local.linux.hostlock import held
from spotdeploy_local.machine_dir import read, write
from spotdeploy_local.network.networks import Networks
from spotdeploy_local.specs import assign_addresses, assign_names, check_specs

_REMOVERS = 8


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The methods do what `Engine` says of those of the same name."""

    layout: Layout
    held: dict[str, int]
    """See `Networks.held`."""
    image: str = DEFAULT

    def problems(self) -> Sequence[Problem]:
        found = self._unfit()
        fatal = any(problem.fatal for problem in found)
        return found if fatal else [*found, *confinement(self.layout).problems]

    def filter_problems(self) -> Sequence[Problem]:
        return host.missing_filter(shutil.which)

    def room(self) -> int:
        return host.room()

    def prepare(self, progress: Progress, *, cloud_init: bool) -> None:
        self._refuse_unfit_host()
        self._images().renew(recipe_of(self.image, cloud_init=cloud_init), progress)

    def cached(self, *, cloud_init: bool) -> Sequence[Cached]:
        return self._images().unused(recipe_of(self.image, cloud_init=cloud_init))

    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        return self._images().discard(things)

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        check_specs(specs)
        self._refuse_unfit_host()
        if any(spec.open_between for spec in specs):
            _refuse(self.filter_problems())
        host.raise_limit()
        unique = list({spec.id: spec for spec in specs}.values())
        self.write_missing(unique)
        folders = [self.layout.machine(spec.id) for spec in unique]
        failures = launch([folder for folder in folders if read.never_started(folder)])
        failed = {folder.name: message for folder, message in failures.items()}
        self.destroy(list(failed))
        machines = (read.machine(folder) for folder in folders if folder.name not in failed)
        return Started(tuple(machine for machine in machines if machine), failed)

    def write_missing(self, specs: Sequence[MachineSpec]) -> None:
        """Make what is missing of these machines, on the disk and in the kernel, so that they can
        be launched. Raises ConfigError, or HostError when the disk is full."""
        kinds = {spec.cloud_init for spec in specs}
        trees = {kind: self._image(_silent, cloud_init=kind) for kind in kinds}
        groups, networks = self._groups(), self.networks()
        confined = confinement(self.layout)
        with host.explain_full_disk(self.layout.state, STATE_VARIABLE), self._lock():
            existing = read.machines(self.layout.machines)
            known = {machine.id for machine in existing}
            new = assign_names([spec for spec in specs if spec.id not in known], existing)
            for spec, address in assign_addresses(new, existing):
                self._write_folder(spec, address, trees[spec.cloud_init], groups, confined)
            there = read.machines(self.layout.machines)
            for network in {spec.network for spec in specs}:
                networks.ensure(network)
                networks.filter(network, [one for one in there if one.network == network])
            for spec in specs:
                groups.create(spec.id, confined.first_user(spec.id))

    def stop(self, ids: Sequence[str]) -> None:
        _refuse_stuck(self._groups().remove(ids))

    def preempt(self, machine: str, notice_seconds: float) -> None:
        folder = self.layout.machine(machine)
        if not folder.is_dir():
            raise ProviderError(f"there is no machine {machine}")
        write.notice(folder, f"interrupted by request with {notice_seconds:g} s notice")
        time.sleep(notice_seconds)
        self.stop([machine])

    def destroy(self, ids: Sequence[str]) -> None:
        ending = sorted(set(ids))
        if not ending:
            return
        with self._lock():
            for machine in ending:
                with suppress(FileNotFoundError):
                    self.layout.machine(machine).rename(self.layout.being_removed(machine))
        stuck = self._groups().remove(ending)
        folders = [self.layout.being_removed(machine) for machine in ending if machine not in stuck]
        with ThreadPoolExecutor(_REMOVERS) as pool:
            list(pool.map(write.remove, folders))
        self._remove_idle_networks()
        _refuse_stuck(stuck)

    def hold_network(self, network: str) -> Path:
        with self._lock():
            return self.networks().hold(network)

    def drop_network(self, network: str) -> None:
        self.networks().drop(network)
        self._remove_idle_networks()

    def leftovers(self) -> Sequence[Leftover]:
        with self._lock():
            return self._leftovers().find(read.machines(self.layout.machines))

    def release(self, leftovers: Sequence[Leftover]) -> None:
        requested = {(one.kind, one.id) for one in leftovers}
        with self._lock():
            found = self._leftovers().find(read.machines(self.layout.machines))
            self._leftovers().release([one for one in found if (one.kind, one.id) in requested])

    def manual_delete_command(self, kind: str, thing: str) -> str:
        return self._leftovers().manual_delete_command(kind, thing)

    def networks(self) -> Networks:
        """The networks of this layout."""
        return Networks(self.layout, self.held)

    def _write_folder(
        self,
        spec: MachineSpec,
        address: str,
        tree: Path,
        groups: Groups,
        confined: Confinement,
    ) -> None:
        """The folder gets its name when it is whole, so that no half of one is ever listed."""
        folder, part = self.layout.machine(spec.id), self.layout.being_written(spec.id)
        plan = make_plan(
            spec,
            address,
            tree,
            self.layout.switch(spec.network),
            groups.procs_files(spec.id, "engine"),
            groups.procs_files(spec.id, "node"),
            confined,
        )
        write.machine(part, spec, address, tree, plan, plan["first_user"])
        part.rename(folder)

    def _remove_idle_networks(self) -> None:
        with self._lock():
            networks = self.networks()
            used = {machine.network for machine in read.machines(self.layout.machines)}
            for network in networks.idle(used):
                networks.remove(network)

    def _unfit(self) -> Sequence[Problem]:
        return host.problems(self.layout, has_image=self._images().is_complete(self._base()))

    def _refuse_unfit_host(self) -> None:
        _refuse(self._unfit())

    def _image(self, progress: Progress, *, cloud_init: bool) -> Path:
        return self._images().build(recipe_of(self.image, cloud_init=cloud_init), progress)

    def _base(self) -> Recipe:
        return recipe_of(self.image, cloud_init=False)

    def _images(self) -> Images:
        return Images(self.layout.cache, mmdebstrap)

    def _groups(self) -> Groups:
        return Groups.mounted(self.layout.group)

    def _leftovers(self) -> Leftovers:
        return Leftovers(self.layout, self._groups(), self.networks())

    def _lock(self) -> AbstractContextManager[object]:
        self.layout.machines.mkdir(parents=True, exist_ok=True, mode=0o700)
        return held(self.layout.lock)


def _refuse(problems: Sequence[Problem]) -> None:
    for problem in problems:
        if problem.fatal:
            raise HostError(problem.what, hint=problem.remedy)


def _refuse_stuck(machines: Sequence[str]) -> None:
    if machines:
        raise ProviderError(
            f"the processes of {', '.join(machines)} do not end, even when killed",
            hint="look for tasks in state D, then destroy again",
        )


def _silent(_: str) -> None:
    """For callers that have shown the progress before."""
