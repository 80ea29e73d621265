"""Machines for what is done without spotdeploy: booted by the same engine, opened with one key.

python floor_machines.py create|destroy  (from the molecule scenario, which names them in its
environment)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spotdeploy_local.engine import Machine, MachineSpec
from spotdeploy_local.engines.default import default_engine

BOOT = """#cloud-boothook
#!/bin/sh
mkdir -p /root/.ssh && echo '{key}' > /root/.ssh/authorized_keys
key=/etc/ssh/ssh_host_ed25519_key
[ -e $key ] || ssh-keygen -q -t ed25519 -N '' -f $key
"""


def new_key(folder: Path) -> Path:
    """The file of a login key in a folder, made when it is missing."""
    key = folder / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def start(network: str, count: int, key: Path) -> Sequence[Machine]:
    """That many machines of a network."""
    boot = BOOT.format(key=key.with_suffix(".pub").read_text().strip()).encode()
    started = default_engine().start_all(
        [
            MachineSpec(id=id_, name=f"floor-{number}", user_data=boot, network=network)
            for number, id_ in enumerate(ids(network, count))
        ]
    )
    if started.failures:
        raise RuntimeError(str(started.failures))
    return started.machines


def ids(network: str, count: int) -> list[str]:
    """Of the machines of a network."""
    return [f"{network}-{number}" for number in range(count)]


def main(verb: str) -> None:
    """Do what molecule's create or destroy playbook asks, and tell it where the machines are."""
    network, count = os.environ["BENCH_NETWORK"], int(os.environ["BENCH_COUNT"])
    key = Path(os.environ["BENCH_KEY"])
    config = Path(os.environ["MOLECULE_INSTANCE_CONFIG"])
    if verb == "destroy":
        default_engine().destroy(ids(network, count))
        config.write_text("[]")
        return
    machines = [
        {
            "instance": machine.name,
            "address": machine.address,
            "user": "root",
            "port": 22,
            "identity_file": str(key),
        }
        for machine in start(network, count, key)
    ]
    config.write_text(json.dumps(machines))


if __name__ == "__main__":
    main(sys.argv[1])
