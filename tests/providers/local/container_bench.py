"""A bench with real machines of podman or docker, and proofs that nothing of them is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from spotdeploy_local.engines.container import commands
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.layout import Layout
from tests.providers.local.machine_bench import MachineBench, processes


@dataclass(frozen=True)
class ContainerBench(MachineBench[ContainerEngine]):
    """A container engine's."""

    def copied(self, place: str) -> bytes:
        """A file of a machine as a tar archive, past the network and sshd."""
        command = [self.engine.program, "cp", place, "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def remains(self) -> list[str]:
        """Everything of this engine's that podman, the kernel or the disk still has."""
        engine, key = self.engine, self.engine.layout.key
        name = commands.container_name(key, "")
        return [
            *(f"container {one}" for one in engine.cli.run(*commands.list_ids(key)).split()),
            *(f"network {one}" for one in engine.cli.run(*commands.list_networks(key)).split()),
            *(f"folder {path}" for path in engine.layout.notices.glob("*/*")),
            *(f"process {line}" for line in processes() if name in line),
        ]


@contextmanager
def container_bench(program: str, folder: Path, key: Path) -> Iterator[ContainerBench]:
    """An engine of its own; skips the test where this host cannot run it. At the end its machines
    are destroyed and nothing may be left."""
    engine = ContainerEngine(program, Layout(folder / "state", Path("/var/cache/spotdeploy")))
    if unfit := [problem for problem in engine.problems() if problem.fatal]:
        pytest.skip(f"{unfit[0].what} ({unfit[0].remedy})")
    engine.prepare(print)
    bench = ContainerBench(engine, key)
    yield bench
    engine.destroy([machine.id for machine in engine.machines()])
    assert bench.remains() == []
