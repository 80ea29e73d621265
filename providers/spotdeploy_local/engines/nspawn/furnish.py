"""Everything a machine needs on disk and in the kernel before its supervisor is started."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.errors import ConfigError
from spotdeploy_local.engine import Machine, MachineSpec
from spotdeploy_local.engines.nspawn.plan import make_plan
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux.cgroups import Groups
from spotdeploy_local.machine_dir import write
from spotdeploy_local.network.commands import GATEWAY, free_addresses
from spotdeploy_local.network.networks import Networks


@dataclass(frozen=True, slots=True)
class Furnisher:
    """Callers hold the engine's lock."""

    layout: Layout
    groups: Groups
    networks: Networks

    def furnish(
        self, specs: Sequence[MachineSpec], there: Sequence[Machine], trees: Mapping[bool, Path]
    ) -> None:
        """Make what is missing of these machines. `trees` has the root with and without
        cloud-init. Raises ConfigError, or OSError when the disk is full."""
        known = {machine.id for machine in there}
        for spec, address in assign_addresses([s for s in specs if s.id not in known], there):
            self._write_folder(spec, address, trees[spec.cloud_init])
        for spec in specs:
            self.networks.ensure(spec.network)
            self.groups.create(spec.id)

    def _write_folder(self, spec: MachineSpec, address: str, tree: Path) -> None:
        """The folder gets its name when it is whole, so that no half of one is ever listed."""
        folder = self.layout.machine(spec.id)
        part = folder.with_name(f".part-{os.getpid()}-{spec.id}")
        write.write(part, spec, address, time.time(), tree)
        plan = make_plan(
            spec,
            address,
            folder,
            tree,
            self.layout.switch(spec.network),
            self.groups.entries(spec.id, "engine"),
            self.groups.entries(spec.id, "node"),
        )
        (part / "plan.json").write_text(json.dumps(plan))
        part.rename(folder)


def assign_addresses(
    specs: Sequence[MachineSpec], there: Sequence[Machine]
) -> list[tuple[MachineSpec, str]]:
    """Each machine with its private address, none used twice in a network.

    Raises ConfigError when a wanted address is taken.
    """
    used: dict[str, set[str]] = defaultdict(lambda: {str(GATEWAY)})
    for machine in there:
        used[machine.network].update((machine.address, *machine.extra_addresses))
    assigned: dict[str, str] = {}
    for spec in sorted(specs, key=lambda spec: spec.address is None):
        taken = used[spec.network]
        address = spec.address or free_addresses(taken, 1)[0]
        for wanted in (address, *spec.extra_addresses):
            if wanted in taken:
                raise ConfigError(
                    f"machine {spec.id!r}: address {wanted} is taken in network {spec.network}"
                )
            taken.add(wanted)
        assigned[spec.id] = address
    return [(spec, assigned[spec.id]) for spec in specs]
