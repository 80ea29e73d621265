"""A bench with real machines of podman or docker, and proofs that nothing of them is left."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from spotdeploy_local.engines.container import commands
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.engines.container.filters import Filters
from spotdeploy_local.engines.container.fitness import About
from spotdeploy_local.layout import Layout
from tests.providers.local.machine_bench import MachineBench, eventually, processes


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
        filters = Filters(engine.program, key)
        return [
            *(f"container {one}" for one in engine.cli.run(*commands.list_ids(key)).split()),
            *(
                f"network {one}"
                for one in engine.cli.run(*commands.list_network_names(key)).split()
            ),
            *(f"filter {one}" for one in (filters.networks() if filters.is_there else ())),
            *(f"folder {path}" for path in engine.layout.notices.glob("*/*")),
            *(f"process {line}" for line in processes() if name in line),
        ]


ABOUTS: dict[str, About] = {}
"""What the engines of this host said of themselves: asked once for all tests of a process."""


@contextmanager
def container_bench(program: str, folder: Path, key: Path) -> Iterator[ContainerBench]:
    """An engine of its own; skips the test where this host cannot run it. At the end its machines
    are destroyed and nothing may be left."""
    layout = Layout(folder / "state", Path("/var/cache/spotdeploy"))
    if os.geteuid() != 0:  # whose images are where its own home is, and no test's
        os.environ["XDG_DATA_HOME"] = f"{pwd.getpwuid(os.geteuid()).pw_dir}/.local/share"
    engine = ContainerEngine(program, layout, abouts=ABOUTS)
    if unfit := [problem for problem in engine.problems() if problem.fatal]:
        pytest.skip(f"{unfit[0].what} ({unfit[0].remedy})")
    engine.prepare(print)
    bench = ContainerBench(engine, key)
    yield bench
    engine.destroy([machine.id for machine in engine.machines()])
    assert bench.remains() == []


@contextmanager
def docker_daemon() -> Iterator[str]:
    """A docker daemon with a socket and a data folder of its own, which leaves this host's packet
    filters alone; gives its address. Skips the test where it does not start. Without root it is the
    user's own daemon, which the environment names."""
    if os.geteuid() != 0 and (address := os.environ.get("DOCKER_HOST")):
        yield address
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("a docker daemon of the tests' own needs root and dockerd (docker.io)")
    # a folder of pytest's may be too long for the names of sockets: unix(7)
    with tempfile.TemporaryDirectory() as name, Path(name, "log").open("w+") as log:
        places = (f"--{kind}-root={name}/{kind}" for kind in ("data", "exec"))
        own = (f"--pidfile={name}/pid", f"--host=unix://{name}/socket", *places)
        untouched = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")
        with subprocess.Popen(["dockerd", *own, *untouched], stdout=log, stderr=log) as daemon:
            try:
                text = Path(log.name).read_text
                eventually(lambda: daemon.poll() is not None or "API listen on" in text())
                if daemon.poll() is not None:
                    pytest.skip(f"dockerd does not start here: {text().splitlines()[-1]}")
                yield f"unix://{name}/socket"
            finally:
                daemon.terminate()
