"""A whole cycle of 1, 5 and 20 local machines, beside a shell script and `molecule test`.

All three boot the same machines with the same engine, ship the same payload, run it, reboot, and
ask the same questions; the script is the floor. Each round gives each of them its turn.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from floor_machines import ids, new_key, start
from rows import Row, show, spread, users_environment

from spotdeploy_local.engines.default import default_engine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOLECULE = ROOT / ".bench/molecule/bin"
SCENARIO = HERE / "peers/molecule"
SIZES = (1, 5, 20)
WITHIN = 1.15
STABLE_SECONDS = 2
ENOUGH_ROUNDS = {20: 2}
"""Of molecule, which takes long with that many machines."""


def by_hand(count: int, folder: Path) -> float:
    """Seconds that shell takes for `count` machines, side by side, destroyed at the end."""
    key = new_key(folder)
    with _network(count) as (network, namespace):
        began = time.monotonic()
        machines = start(network, count, key)
        rest = [str(key), str(ROOT / "instance"), str(STABLE_SECONDS)]
        script = str(HERE / "floor_node.sh")
        shells = [
            subprocess.Popen(["timeout", "300", script, str(namespace), machine.address, *rest])
            for machine in machines
        ]
        codes = [shell.wait() for shell in shells]
        default_engine().destroy(ids(network, count))
        seconds = time.monotonic() - began
    if any(codes):
        raise RuntimeError(f"by hand: {codes}")
    return seconds


def with_molecule(count: int, folder: Path) -> float:
    """Seconds of `molecule test` with the steps that the others have."""
    key = new_key(folder)
    with _network(count) as (network, namespace):
        project = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(SCENARIO, project / "molecule/default")
        ssh = project / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec nsenter --net={namespace} ssh "$@"\n')
        ssh.chmod(0o755)
        (project / "molecule/default/molecule.yml").write_text(_scenario(count, ssh))
        environment = users_environment() | {
            "PATH": f"{MOLECULE}:{os.environ['PATH']}",
            "HOME": str(project),
            "BENCH_NETWORK": network,
            "BENCH_COUNT": str(count),
            "BENCH_KEY": str(key),
            "BENCH_MACHINES": f"{sys.executable} {HERE / 'floor_machines.py'}",
            "BENCH_PAYLOAD": str(ROOT / "instance"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": str(count),
            "ANSIBLE_HOST_KEY_CHECKING": "0",
            "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
            "NO_COLOR": "1",
        }
        began = time.monotonic()
        done = subprocess.run(
            [MOLECULE / "molecule", "test"],
            cwd=project,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"molecule test: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def _scenario(count: int, ssh: Path) -> str:
    hosts = {"ansible_ssh_executable": str(ssh), "ansible_python_interpreter": "/usr/bin/python3"}
    platforms = [{"name": f"floor-{number}"} for number in range(count)]
    return json.dumps(
        {
            "driver": {"name": "default"},
            "platforms": platforms,
            "provisioner": {
                "name": "ansible",
                "inventory": {"host_vars": {platform["name"]: hosts for platform in platforms}},
            },
            "scenario": {"test_sequence": ["destroy", "create", "converge", "verify", "destroy"]},
        }
    )


@contextmanager
def _network(count: int) -> Iterator[tuple[str, Path]]:
    """A network held in advance, and the file of its namespace; nothing of it stays."""
    engine, network = default_engine(), f"floor-{uuid.uuid4().hex[:8]}"
    namespace = engine.hold_network(network)
    try:
        yield network, namespace
    finally:
        engine.destroy(ids(network, count))
        engine.drop_network(network)


def with_spotdeploy(count: int, folder: Path) -> float:
    """Seconds that the command takes for the same, the process's own start included."""
    project = folder / f"project-{count}"
    if not project.exists():
        project.mkdir()
        shutil.copytree(ROOT / "instance", project / "instance")
        text = (ROOT / "spotdeploy.toml").read_text().replace("count = 3", f"count = {count}")
        text = text.replace('deployment = "demo"', f'deployment = "b-{uuid.uuid4().hex[:8]}"')
        (project / "spotdeploy.toml").write_text(text)
    command = [sys.executable, "-m", "spotdeploy", "cycle", "--keep", "never"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"spotdeploy cycle: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


TOOLS: dict[str, Callable[[int, Path], float]] = {
    "shell": by_hand,
    "spotdeploy": with_spotdeploy,
    "molecule": with_molecule,
}


def measure(rounds: int, sizes: Sequence[int]) -> dict[int, dict[str, list[float]]]:
    """Seconds of every tool for every size."""
    default_engine().prepare(print)
    seconds: dict[int, dict[str, list[float]]] = {n: {tool: [] for tool in TOOLS} for n in sizes}
    with tempfile.TemporaryDirectory() as name:
        by_hand(1, Path(name))  # unmeasured: the image comes into the page cache
        for number in range(rounds):
            for count, tools in seconds.items():
                for tool, taken in tools.items():
                    if tool != "molecule" or number < ENOUGH_ROUNDS.get(count, rounds):
                        taken.append(TOOLS[tool](count, Path(name)))
                        print(f"  {count:2} machines  {tool:10} {taken[-1]:6.2f} s", flush=True)
    return seconds


def size_rows(count: int, tools: dict[str, list[float]]) -> list[Row]:
    """The table of one size."""
    middle = {tool: median(taken) for tool, taken in tools.items()}
    over, lead = middle["spotdeploy"] / middle["shell"], middle["molecule"] / middle["spotdeploy"]
    what = f"{count} machine{'' if count == 1 else 's'}"
    return [
        *(
            Row(f"{what}, {tool}", middle[tool], "s", "", None, spread(taken))
            for tool, taken in tools.items()
        ),
        Row(f"{what}, spotdeploy / shell", over, "times", f"at most {WITHIN}", over <= WITHIN),
        Row(f"{what}, molecule / spotdeploy", lead, "times", "over 1", lead > 1),
    ]


def rows(rounds: int = 1, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Everything measured here."""
    return [
        row for count, tools in measure(rounds, sizes).items() for row in size_rows(count, tools)
    ]


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:2]), sizes=tuple(map(int, sys.argv[2:])) or SIZES))
