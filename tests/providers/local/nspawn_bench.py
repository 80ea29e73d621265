"""A bench with real machines of an nspawn engine, and proofs that nothing of them is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from spotdeploy_local.engine import Machine, MachineSpec
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from tests.providers.local.machine_bench import (
    OPTIONS,
    MachineBench,
    connect,
    eventually,
    processes,
)

__all__ = ["OPTIONS", "Bench", "bench_at", "connect", "eventually", "processes"]


@dataclass(frozen=True)
class Bench(MachineBench[NspawnEngine]):
    """An nspawn engine's."""

    namespaces: dict[str, int] = field(default_factory=dict)
    """Network namespaces that were seen, with the moment. A number is used again once its
    namespace is gone, but not by a process that was there before."""

    def start(self, *specs: MachineSpec) -> list[Machine]:
        machines = super().start(*specs)
        for machine in machines:
            self.namespaces[namespace(Path(f"/proc/{machine.pid}"))] = ticks()
        return machines

    def in_switch(self, *command: str) -> str:
        """What a command prints inside the network's own namespace."""
        file = self.engine.layout.switch(self.network)
        done = subprocess.run(
            ["nsenter", f"--net={file}", *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def remains(self) -> list[str]:
        """Everything of this engine's that the kernel or the disk still has."""
        layout = self.engine.layout
        mounts = Path("/proc/mounts").read_text().splitlines()
        return [
            *(f"mount {line}" for line in mounts if str(layout.run) in line),
            *(f"mount {line}" for line in mounts if str(layout.state) in line),
            *(f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(layout.group)),
            *(f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"*/{layout.group}")),
            *(f"folder {path}" for path in layout.run.parent.glob(f"{layout.key}/*")),
            *(f"folder {path}" for path in layout.machines.glob("*")),
            *(f"process {line}" for line in processes() if str(layout.state) in line),
            *(f"namespace of {one}" for one in Path("/proc").glob("[0-9]*") if self._saw(one)),
        ]

    def _saw(self, process: Path) -> bool:
        """True when a process was in one of our machines' namespaces and still is."""
        seen = self.namespaces.get(namespace(process))
        return seen is not None and started(process) <= seen


def bench_at(folder: Path, key: Path) -> Bench:
    """A bench with its state in a folder and the host's own image cache."""
    return Bench(NspawnEngine(Layout(folder / "state", Path("/var/cache/spotdeploy"))), key)


def namespace(process: Path) -> str:
    """The network namespace of a process, empty when it has ended."""
    try:
        return str((process / "ns/net").readlink())
    except OSError:
        return ""


def started(process: Path) -> int:
    """When a process started, in clock ticks since the host's boot; late when it has ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return sys.maxsize


def ticks() -> int:
    """Now, in clock ticks since the host's boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
