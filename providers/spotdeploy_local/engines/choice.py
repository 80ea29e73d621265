"""Which engine makes machines on this host, and which have made some."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from spotdeploy.errors import ConfigError, HostError, SpotdeployError
from spotdeploy.model import Cached, Problem
from spotdeploy_local.engine import Engine, Leftover, Machine, MachineSpec, Progress, Started
from spotdeploy_local.image.releases import DEFAULT, RELEASES
from spotdeploy_local.layout import Layout

if TYPE_CHECKING:
    import socket

Name = Literal["auto", "nspawn", "podman", "docker"]
NSPAWN: Final = "nspawn"
CONTAINERS: Final = ("podman", "docker")
"""In the order in which they are looked for: podman runs systemd as it is, and starts no daemon."""


@dataclass(frozen=True)
class LocalEngines(Engine):
    """One engine makes the machines. Those that another one has made here are listed and ended as
    well, whatever the config says by now: nothing is called gone because it is not looked for."""

    layout: Layout
    wanted: Name = "auto"
    image: str = DEFAULT
    nested: bool = False
    made: dict[str, Engine] = field(default_factory=dict)
    owners: dict[str, Engine] = field(default_factory=dict)
    """The engines of machines that were asked for."""

    @cached_property
    def chosen(self) -> Engine:
        """The engine that makes machines. Raises ConfigError when it cannot have the image."""
        name, reason = choose(self.wanted, self.layout, image=self.image, nested=self.nested)
        if name not in self.made:
            self.made[name] = self._engine(name, reason)
        return self.made[name]

    @property
    def _all(self) -> Sequence[Engine]:
        """Every engine that may have machines here; looks at files only."""
        for name in self._used():
            self.made.setdefault(name, self._engine(name, ""))
        return list(self.made.values())

    def problems(self) -> Sequence[Problem]:
        return self.chosen.problems()

    def filter_problems(self) -> Sequence[Problem]:
        return self.chosen.filter_problems()

    def auto_shutdown(self) -> str:
        return self.chosen.auto_shutdown()

    def room(self) -> int:
        return self.chosen.room()

    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        self.chosen.prepare(progress, cloud_init=cloud_init)

    def cached(self, *, cloud_init: bool = False) -> Sequence[Cached]:
        """Of every engine; what is needed is so by the one that makes machines."""
        chosen = self.chosen
        found: dict[tuple[str, str], Cached] = {}
        for engine in sorted(self._all, key=lambda one: one is chosen):  # its word is the last
            for one in engine.cached(cloud_init=cloud_init):
                found[one.kind, one.id] = replace(one, needed=one.needed and engine is chosen)
        return list(found.values())

    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        gone = {one for engine in self._all for one in engine.discard(things)}
        return [one for one in things if one in gone]

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        return self.chosen.start_all(specs)

    def machines(self) -> Sequence[Machine]:
        try:
            found = [machine for engine in self._all for machine in engine.machines()]
        except HostError as error:
            raise HostError(
                f"{error.message}; machines were made with it here",
                hint=f"{error.hint}; or, if they are gone, remove its file in {self.layout.used}",
            ) from error
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def stop(self, ids: Sequence[str]) -> None:
        self._each(lambda engine: engine.stop(ids))

    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        self._of(machine).preempt(machine, notice_seconds)

    def destroy(self, ids: Sequence[str]) -> None:
        self._each(lambda engine: engine.destroy(ids))

    def console(self, machine: str) -> str:
        return self._of(machine).console(machine)

    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        return self._of(machine).dial(machine, port, timeout)

    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        return self._of(machine).proxy_command(machine, port)

    def leftovers(self) -> Sequence[Leftover]:
        return [leftover for engine in self._all for leftover in engine.leftovers()]

    def release(self, leftovers: Sequence[Leftover]) -> None:
        self._each(lambda engine: engine.release(leftovers))

    def manual_delete_command(self, kind: str, thing: str) -> str:
        program = kind.partition("-")[0]
        found = self._engine(program, "") if program in CONTAINERS else self._of(thing)
        return found.manual_delete_command(kind, thing)

    def manual_list_command(self, values: Sequence[str]) -> str:
        return "; ".join(engine.manual_list_command(values) for engine in self._all)

    def _each(self, work: Callable[[Engine], None]) -> None:
        """Do it with every engine; what one refuses keeps no other from it, and is raised after."""
        errors: list[SpotdeployError] = []
        for engine in self._all:
            try:
                work(engine)
            except SpotdeployError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _of(self, machine: str) -> Engine:
        """The engine that has the machine; any one says what there is to say of a missing one."""
        if machine not in self.owners:
            first, *_ = found = self._all
            if (owner := next((one for one in found if _has(one, machine)), None)) is None:
                return first
            self.owners[machine] = owner
        return self.owners[machine]

    def _used(self) -> Iterator[str]:
        if sys.platform == "linux":
            yield NSPAWN
        yield from (name for name in CONTAINERS if (self.layout.used / name).exists())

    def _engine(self, name: str, reason: str) -> Engine:
        if name == NSPAWN:
            from spotdeploy_local.engines.nspawn.engine import NspawnEngine

            return NspawnEngine(self.layout, image=self.image)
        from spotdeploy_local.engines.container.engine import ContainerEngine

        return ContainerEngine(name, self.layout, self.image, reason)


def choose(wanted: Name, layout: Layout, *, image: str, nested: bool = False) -> tuple[str, str]:
    """The engine, and why it is that one. Looks at this host and changes nothing.

    Raises ConfigError for what the engine that is asked for cannot give.
    """
    if wanted == NSPAWN and nested:
        raise ConfigError(
            "provider.local.nested: the engine nspawn has no disk for engines in its nodes",
            hint='engine = "podman"',
        )
    if wanted != "auto":
        if wanted == NSPAWN and image not in RELEASES:
            raise ConfigError(
                f"provider.local.image: {image!r} is no image that the engine nspawn can build",
                hint=f'one of {", ".join(RELEASES)}, or engine = "podman"',
            )
        return wanted, "as the config says"
    why_not = nspawn_refusal(layout, image, nested=nested)
    if not why_not:
        return NSPAWN, "it gives most"
    if found := [program for program in CONTAINERS if shutil.which(program)]:
        return first_that_works(found), f"systemd-nspawn cannot be had: {why_not}"
    return NSPAWN, "none is here"


def first_that_works(programs: Sequence[str]) -> str:
    """The first of several container engines on which a machine can boot; else just the first, so
    that it says what it lacks."""
    if len(programs) == 1:
        return programs[0]
    from spotdeploy_local.engines.container import fitness
    from spotdeploy_local.engines.container.cli import Cli

    def works(program: str) -> bool:
        found = fitness.problems(Cli.of_host(program), "")
        return not any(problem.fatal for problem in found)

    return next(filter(works, programs), programs[0])


def nspawn_refusal(layout: Layout, image: str, *, nested: bool) -> str:
    """What keeps systemd-nspawn from being used here; empty when nothing does."""
    from spotdeploy_local.linux import host

    if sys.platform != "linux":
        return "this is not Linux"
    if image not in RELEASES:
        return f"it cannot have the image {image}"
    if nested:
        return "it has no disk for engines in its nodes"
    found = (one.what for one in host.problems(layout, has_image=True) if one.fatal)
    return next(found, "")


def _has(engine: Engine, machine: str) -> bool:
    return any(one.id == machine for one in engine.machines())
