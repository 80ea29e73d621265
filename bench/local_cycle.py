"""A warm local cycle of N nodes beside the same done by hand in shell, interleaved.

python bench/local_cycle.py [--nodes 3] [--rounds 5]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from spotdeploy_local.engine import MachineSpec, default_engine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
STABLE_SECONDS = 2
BOOT = """#cloud-boothook
#!/bin/sh
mkdir -p /root/.ssh && echo '{key}' > /root/.ssh/authorized_keys
key=/etc/ssh/ssh_host_ed25519_key
[ -e $key ] || ssh-keygen -q -t ed25519 -N '' -f $key
"""


def by_hand(count: int, folder: Path) -> float:
    """Seconds that shell takes for `count` machines, side by side, destroyed at the end."""
    engine, network = default_engine(), f"floor-{uuid.uuid4().hex[:8]}"
    key = folder / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    boot = BOOT.format(key=key.with_suffix(".pub").read_text().strip()).encode()
    namespace = engine.hold_network(network)
    specs = [
        MachineSpec(id=f"{network}-{n}", name=f"floor-{n}", user_data=boot, network=network)
        for n in range(count)
    ]
    started = time.monotonic()
    machines = engine.start_all(specs).machines
    script = str(HERE / "floor_node.sh")
    rest = [str(key), str(ROOT / "instance"), str(STABLE_SECONDS)]
    shells = [
        subprocess.Popen([script, str(namespace), machine.address, *rest]) for machine in machines
    ]
    codes = [shell.wait() for shell in shells]
    engine.destroy([spec.id for spec in specs])
    seconds = time.monotonic() - started
    engine.drop_network(network)
    assert codes == [0] * count, codes
    return seconds


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
    started = time.monotonic()
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    default_engine().prepare(print)
    floor, ours = [], []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.rounds):
            floor.append(by_hand(options.nodes, Path(name)))
            ours.append(with_spotdeploy(options.nodes, Path(name)))
    low, high = statistics.median(floor), statistics.median(ours)
    print(f"{options.nodes} nodes, {options.rounds} rounds, medians")
    print(f"by hand    {low:6.2f} s  ({min(floor):.2f}-{max(floor):.2f})")
    print(f"spotdeploy {high:6.2f} s  ({min(ours):.2f}-{max(ours):.2f})")
    print(f"ratio      {high / low:6.2f}")


if __name__ == "__main__":
    main()
