"""The engine that boots machines as containers of podman or docker.

The engine of the host keeps everything: a machine is a container, its facts are a label of that,
its console the container's log, and a deployment's network is one of the engine's.
Only an interruption's notice, which no label can take later, is a file of ours.
"""

from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from spotdeploy.errors import ConfigError, HostError, ProviderError
from spotdeploy.model import Cached, Problem
from spotdeploy_local.engine import (
    Engine,
    Leftover,
    Machine,
    MachineSpec,
    MachineState,
    Progress,
    Started,
)
from spotdeploy_local.engines.container import (
    cgroup_hook,
    commands,
    filters,
    fitness,
    places,
    records,
)
from spotdeploy_local.engines.container.boot import archive, boot_files
from spotdeploy_local.engines.container.cli import Cli, RefusedCommandError
from spotdeploy_local.engines.container.commands import Facts, Place
from spotdeploy_local.engines.container.filters import Filters
from spotdeploy_local.engines.container.images import ContainerImages
from spotdeploy_local.image.releases import DEFAULT
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux import host, users
from spotdeploy_local.linux.hostlock import held
from spotdeploy_local.machine_dir import read, write
from spotdeploy_local.specs import assign_names, check_specs

_SIDE_BY_SIDE: Final = 8
_NETWORK_TRIES: Final = 16
_INSPECT_TRIES: Final = 5
_START_TRIES: Final = 2
"""A port that was free when a container was made may be another program's when it starts."""
CONSOLE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ContainerEngine(Engine):
    """Machines as containers of `program`, each with its own systemd, network and disk."""

    program: str
    layout: Layout
    image: str = DEFAULT
    reason: str = "by the config"
    """Why this engine was taken, for `plan`."""
    places: dict[str, Place] = field(default_factory=dict)
    """Where the machines are that the last listing has seen: it does not change."""
    abouts: dict[str, fitness.About] = field(default_factory=dict)
    """What the engine said of itself, once it was asked."""

    @property
    def cli(self) -> Cli:
        return Cli.of_host(self.program, self.layout.state / "hooks")

    def problems(self) -> Sequence[Problem]:
        found = [*fitness.problems(self.cli, self.reason, lambda _: self._about())]
        if sys.platform == "linux":
            found += host.low_limit(host.INOTIFY)
        return found

    def filter_problems(self) -> Sequence[Problem]:
        if self._filters:
            netavark = self._about().netavark
            return filters.dropped(netavark) if netavark else []
        what = f"all ports are open between nodes of {self.program} here, not these alone"
        return [Problem(what, f"run as root on Linux, with nftables: {self.program}", fatal=False)]

    def auto_shutdown(self) -> str:
        return f"its container's first process, under {self.program}"

    def room(self) -> int:
        if sys.platform == "linux":
            return host.room()
        return self._about().memory // fitness.MACHINE_MEMORY

    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        self._fit()
        self._images().renew(progress, cloud_init=cloud_init)

    def cached(self, *, cloud_init: bool = False) -> Sequence[Cached]:
        return self._images().unused(cloud_init=cloud_init)

    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        return self._images().discard(things)

    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        check_specs(specs)
        _refuse_what_labs_need(specs)
        if sys.platform == "linux":
            host.raise_limit()
        self.layout.mark_used(self.program)
        cgroup_hook.write(self.layout.state / "hooks")
        unique = list({spec.id: spec for spec in specs}.values())
        spoilt: set[str] = set()  # addresses that podman 4 may keep for what did not start
        for _ in range(_START_TRIES):
            if failures := self._start(unique, spoilt):
                spoilt |= {self.places[one].address for one in failures if one in self.places}
                self.destroy(list(failures))
            else:
                break
        wanted = [spec.id for spec in unique if spec.id not in failures]
        found = {one.id: one for one in self.machines()}
        return Started(tuple(found[one] for one in wanted if one in found), failures)

    def machines(self) -> Sequence[Machine]:
        return [
            records.machine(one, kept, read.notice(self._notices / kept.id))
            for one, kept in records.chosen_by(self._containers())
        ]

    def stop(self, ids: Sequence[str]) -> None:
        running = {one.id for one in self.machines() if one.state is not MachineState.STOPPED}
        if ending := [self._name(one) for one in ids if one in running]:
            self.cli.run("kill", *ending)

    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        self._existing(machine)
        folder = self._notices / machine
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write.notice(folder, f"interrupted by request with {notice_seconds:g} s notice")
        time.sleep(notice_seconds)
        self.stop([machine])

    def destroy(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        try:
            self._remove(ids)
        except RefusedCommandError:  # a mount of one that has just ended may be busy for a moment
            self._remove(ids)
        for machine in ids:
            write.remove(self._notices / machine)
        with self._lock():
            self._remove_networks(self._idle(self._machines_facts(), self._networks()))

    def console(self, machine: str) -> str:
        self._existing(machine)
        text = self.cli.run("logs", self._name(machine))
        return text[-CONSOLE_BYTES:].replace("\r", "")

    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        address = self._reach(machine, port)
        connection = socket.create_connection(address, timeout)
        connection.settimeout(None)
        return connection

    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        from spotdeploy_local.network.dial import proxy_command

        try:
            address, there = self._reach(machine, port)
        except OSError as error:
            raise ProviderError(f"{machine}: {error.strerror}") from error
        return proxy_command(None, address, there)

    def leftovers(self) -> Sequence[Leftover]:
        kept, networks = self._machines_facts(), self._networks()
        here = {facts.id for facts in kept}
        tables = self._filters.networks() if self._filters else set()
        notices = sorted(self._notices.iterdir()) if self._notices.is_dir() else []
        return [
            *(Leftover(self._kind("network"), name) for name in self._idle(kept, networks)),
            *(Leftover(self._kind("filter"), name) for name in sorted(tables - networks.keys())),
            *(Leftover(self._kind("notice"), one.name) for one in notices if one.name not in here),
        ]

    def release(self, leftovers: Sequence[Leftover]) -> None:
        asked = {(one.kind, one.id) for one in leftovers}
        with self._lock():
            found = [one for one in self.leftovers() if (one.kind, one.id) in asked]
            networks = [one.id for one in found if one.kind == self._kind("network")]
            self._remove_networks(networks)
            if self._filters:
                self._filters.remove(one.id for one in found if one.kind == self._kind("filter"))
        for one in found:
            if one.kind == self._kind("notice"):
                write.remove(self._notices / one.id)

    def manual_delete_command(self, kind: str, thing: str) -> str:
        if kind == self._kind("network"):
            return f"{self.program} network rm {commands.network_name(self.layout.key, thing)}"
        if kind == self._kind("filter"):
            return Filters(self.program, self.layout.key).manual_delete_command(thing)
        if kind == self._kind("notice"):
            return f"rm -r {shlex.quote(str(self._notices / thing))}"
        return shlex.join([self.program, *commands.remove(self.program, [self._name(thing)])])

    def manual_list_command(self, values: Sequence[str]) -> str:
        patterns = "".join(f" -e {shlex.quote(value)}" for value in values)
        listing = shlex.join([self.program, *commands.list_ids(self.layout.key)])
        return f"{self.program} inspect $({listing}) | grep -F{patterns}"

    def _remove(self, ids: Sequence[str]) -> None:
        here = {one.id for one in self.machines()}
        if ending := [self._name(one) for one in sorted(set(ids)) if one in here]:
            self.cli.run(*commands.remove(self.program, ending))
            for machine in ids:
                self.places.pop(machine, None)

    def _start(self, specs: Sequence[MachineSpec], spoilt: Collection[str]) -> dict[str, str]:
        """Make and boot those that are not there yet. Gives the failures."""
        failures = self._create_missing(specs, spoilt)
        there = self.machines()
        fresh = {one.id: one.name for one in there if one.state is MachineState.PENDING}
        booting = [spec for spec in specs if spec.id in fresh and spec.id not in failures]
        named = [replace(spec, name=fresh[spec.id]) for spec in booting]
        return failures | self._side_by_side(self._boot, named)

    def _create_missing(
        self, specs: Sequence[MachineSpec], spoilt: Collection[str] = ()
    ) -> dict[str, str]:
        """Make the containers that are not there yet, without booting any, at other addresses than
        those that are `spoilt`. Gives the failures."""
        about = self._fit()
        kinds = {spec.cloud_init for spec in specs}
        images = {cloud_init: self._image(cloud_init=cloud_init) for cloud_init in kinds}
        first_user = self._first_user(about)
        with self._lock():
            kept = self._machines_facts()
            known = {facts.id for facts in kept}
            there = [records.planned(facts) for facts in kept]
            new = assign_names([spec for spec in specs if spec.id not in known], there)
            subnets = {name: self._network(name) for name in dict.fromkeys(s.network for s in new)}
            taken = {facts.place.address for facts in kept} | set(spoilt)
            offered = {facts.place.published_address for facts in kept}
            plans: dict[str, Facts] = {}
            spent = {port for facts in kept for port in facts.place.published}
            once = spent if fitness.offers_once(self.program, about) else ()
            for spec in new:
                network = commands.network_name(self.layout.key, spec.network)
                address = places.free_address(subnets[spec.network], taken)
                found = places.place(
                    spec, network, address, offered, direct=about.direct, spent=once
                )
                taken.add(address)
                offered.add(found.published_address)
                spent.update(found.published)
                plans[spec.id] = _facts(spec, found)
            self._filter(subnets, [*kept, *plans.values()])

            def create(spec: MachineSpec) -> None:
                image = images[spec.cloud_init]
                self.cli.run(
                    *commands.create(
                        self.program,
                        self.layout.key,
                        spec,
                        plans[spec.id],
                        image,
                        limits=fitness.limits(),
                        first_user=first_user,
                    )
                )

            return self._side_by_side(create, new)

    def _boot(self, spec: MachineSpec) -> None:
        """Put a machine's files into its container and start it. May be repeated."""
        name = self._name(spec.id)
        address = self._place(spec.id).address
        self.cli.run("cp", "-", f"{name}:/", data=archive(boot_files(spec, address)))
        self.cli.run("start", name)

    def _side_by_side(
        self, work: Callable[[MachineSpec], None], specs: Sequence[MachineSpec]
    ) -> dict[str, str]:
        """Do it for each machine, some at a time. Gives the failures by id."""

        def tried(spec: MachineSpec) -> str:
            try:
                work(spec)
            except ProviderError as error:
                return error.message
            return ""

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            messages = pool.map(tried, specs)
        return {spec.id: text for spec, text in zip(specs, messages, strict=True) if text}

    def _filter(self, subnets: Mapping[str, str], kept: Sequence[Facts]) -> None:
        """Let machines reach of one another what they open, where this host can see to it."""
        if not self._filters:
            return
        for name, subnet in subnets.items():
            there = [records.planned(facts) for facts in kept if facts.network == name]
            self._filters.apply(name, subnet, there)

    @property
    def _filters(self) -> Filters | None:
        """The rules between machines; None where this host cannot keep any: its bridges are another
        computer's or another user's then, or nft is missing."""
        found = Filters(self.program, self.layout.key)
        return found if found.is_there and os.geteuid() == 0 and self._fit().direct else None

    def _network(self, network: str) -> str:
        """The subnet of a network, which is made if need be."""
        found = self._networks()
        if network in found:
            return found[network]
        free = places.subnets(self.program, self.layout.key, found.values())
        for tries, subnet in enumerate(free):
            try:
                self.cli.run(
                    *commands.create_network(self.program, self.layout.key, network, subnet)
                )
            except RefusedCommandError:  # another network of this host has it
                if tries == _NETWORK_TRIES:
                    raise
            else:
                return subnet
        raise ProviderError(f"no subnet is free for a network of {self.program}")

    def _networks(self) -> dict[str, str]:
        """Our networks, each with its subnet."""
        if self.program == "podman":
            found = self.cli.json(*commands.list_networks(self.layout.key)) or []
        else:
            names = self.cli.run(*commands.list_network_names(self.layout.key)).split()
            found = self.cli.json("network", "inspect", *names) if names else []
        return dict(map(records.network, found))

    @staticmethod
    def _idle(kept: Sequence[Facts], networks: Mapping[str, str]) -> list[str]:
        """Networks without a machine."""
        return sorted(networks.keys() - {facts.network for facts in kept})

    def _remove_networks(self, networks: Sequence[str]) -> None:
        if names := [commands.network_name(self.layout.key, one) for one in networks]:
            self.cli.run("network", "rm", *names)
        if networks and self._filters:
            self._filters.remove(networks)

    def _machines_facts(self) -> list[Facts]:
        """What is kept with each machine that there is."""
        return [facts for _, facts in records.chosen_by(self._containers())]

    def _containers(self) -> list[Mapping[str, Any]]:
        """All containers of this state folder, as the engine inspects them."""
        if self.program == "podman":
            listed = self.cli.json(*commands.list_containers(self.layout.key)) or []
            found = list(map(records.of_listing, listed))
        else:
            found = self._inspected()
        there = {kept.id: kept.place for _, kept in records.chosen_by(found)}
        self.places.update(there)
        for gone in self.places.keys() - there.keys():  # its address may be another's by now
            self.places.pop(gone, None)
        return found

    def _inspected(self) -> list[Mapping[str, Any]]:
        """One that goes between the two questions makes the engine refuse the second: then both are
        asked again."""
        for tries in range(_INSPECT_TRIES):
            ids = self.cli.run(*commands.list_ids(self.layout.key)).split()
            try:
                return list(self.cli.json("container", "inspect", *ids)) if ids else []
            except RefusedCommandError:
                if tries == _INSPECT_TRIES - 1:
                    raise
        return []

    def _reach(self, machine: str, port: int) -> tuple[str, int]:
        """Where this host dials a machine's port. Raises OSError."""
        try:
            place = self._place(machine)
        except ProviderError as error:
            raise OSError(errno.EHOSTUNREACH, error.message) from error
        if not place.forwarded:
            return place.address, port
        if port not in place.forwarded:
            message = f"port {port} is reached only when nodes.open_ports has it"
            raise OSError(errno.ECONNREFUSED, message)
        return "127.0.0.1", place.forwarded[port]

    def _place(self, machine: str) -> Place:
        if machine not in self.places:
            self._containers()
        if machine not in self.places:
            raise ProviderError(f"there is no machine {machine}")
        return self.places[machine]

    def _existing(self, machine: str) -> None:
        if machine not in {one.id for one in self.machines()}:
            raise ProviderError(f"there is no machine {machine}")

    def _image(self, *, cloud_init: bool) -> str:
        images = self._images()
        if images.exists(cloud_init=cloud_init):
            return images.reference(cloud_init=cloud_init)
        return images.renew(_silent, cloud_init=cloud_init)

    def _images(self) -> ContainerImages:
        return ContainerImages(self.cli, self.layout, self.image)

    def _first_user(self, about: fitness.About) -> int | None:
        """The host's user that machines' root is. They share it, so that the image need be shown
        with other owners once only, and are still in user namespaces of their own."""
        if self.program != "podman" or about.rootless:
            return None
        return users.first_user(self.layout.key)

    def _fit(self) -> fitness.About:
        """What the engine is. Raises HostError when no machine can boot on it."""
        found = self._about()
        for problem in fitness.unfit(self.cli, found):
            raise HostError(problem.what, hint=problem.remedy)
        return found

    def _about(self) -> fitness.About:
        """What the engine says of itself; asked once. Raises HostError when it does not answer."""
        if self.program not in self.abouts:
            self.abouts[self.program] = fitness.about(self.cli)
        return self.abouts[self.program]

    @property
    def _notices(self) -> Path:
        """A folder for each of our machines that was given notice of its interruption."""
        return self.layout.notices / self.program

    def _name(self, machine: str) -> str:
        return commands.container_name(self.layout.key, machine)

    def _kind(self, kind: str) -> str:
        return f"{self.program}-{kind}"

    def _lock(self) -> AbstractContextManager[object]:
        self.layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return held(self.layout.lock)


def _facts(spec: MachineSpec, place: Place) -> Facts:
    return Facts(
        id=spec.id,
        name=spec.name,
        network=spec.network,
        labels=dict(spec.labels),
        details=dict(spec.details),
        publish=spec.publish,
        open_between=spec.open_between,
        open_to=spec.open_to,
        names=spec.names,
        created_at=time.time(),
        time_to_live=spec.time_to_live,
        place=place,
    )


def _refuse_what_labs_need(specs: Sequence[MachineSpec]) -> None:
    for spec in specs:
        if spec.address or spec.extra_addresses or spec.binds:
            raise ConfigError(
                f"machine {spec.id!r}: containers have no addresses or folders of one's choice",
                hint='[provider.local] engine = "nspawn"',
            )


def _silent(_: str) -> None:
    """For callers that have shown the progress before."""
