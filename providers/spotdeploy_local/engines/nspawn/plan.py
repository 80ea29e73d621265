"""What a supervisor is to do, worked out beforehand as plain data: pure functions only."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypedDict

from spotdeploy_local.engine import Bind, MachineSpec
from spotdeploy_local.network.commands import machine_commands, port_commands

PUBLISH_NETWORKS = 256

# Joins control groups before it becomes the container; a shell does it because Python may not
# fork once it has threads.
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1"; shift; done; shift; exec "$@"'


class Plan(TypedDict):
    """The content of a machine's plan.json."""

    address: str
    switch: str
    """The file on which the network's namespace is mounted."""
    run_folder: str
    """Mounts below it belong to other networks and are let go."""
    port_commands: str
    machine_commands: str
    overlay: str
    """Mount options, relative to the machine's folder."""
    container: list[str]
    engine_groups: list[str]
    """The `cgroup.procs` files that the supervisor joins."""
    publish_ports: list[int]
    publish_addresses: list[str]
    """Candidates; the first that is free for all ports is taken."""
    lifetime: float | None
    """Seconds."""


def make_plan(
    spec: MachineSpec,
    address: str,
    folder: Path,
    tree: Path,
    switch: Path,
    engine_groups: list[str],
    node_groups: list[str],
) -> Plan:
    """The whole plan of one machine."""
    return Plan(
        address=address,
        switch=str(switch),
        run_folder=str(switch.parent.parent),
        port_commands=port_commands(address, spec.extra_addresses),
        machine_commands=machine_commands(address, spec.extra_addresses),
        overlay=overlay_options(tree),
        container=container_command(spec, folder, node_groups),
        engine_groups=engine_groups,
        publish_ports=list(spec.publish),
        publish_addresses=publish_addresses(address),
        lifetime=spec.time_to_live,
    )


def overlay_options(tree: Path) -> str:
    """Mount options of the machine's disk, from within its folder."""
    return f"lowerdir={tree},upperdir=upper,workdir=work"


def container_command(machine: MachineSpec, folder: Path, groups: Sequence[str]) -> list[str]:
    """The command that boots the machine inside its supervisor's namespaces."""
    return [
        *("/bin/sh", "-ec", _JOIN, "sh", *groups, "--"),
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--register=no",
        "--keep-unit",
        "--boot",
        f"--directory={folder / 'root'}",
        f"--machine={machine.name}",
        "--network-namespace-path=/proc/1/ns/net",
        "--console=read-only",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--kill-signal=SIGRTMIN+3",
        *(bind_option(bind) for bind in machine.binds),
    ]


def bind_option(bind: Bind) -> str:
    """One `--bind` option; colons in paths are escaped."""
    paths = (str(bind.source), bind.target)
    source, target = (path.replace("\\", "\\\\").replace(":", "\\:") for path in paths)
    return f"--bind{'-ro' if bind.read_only else ''}={source}:{target}"


def publish_addresses(address: str) -> list[str]:
    """Where to offer a machine's ports: 127.77.0.N for 10.77.0.N, then 127.77.1.N and so on."""
    last = IPv4Address(address).packed[3]
    return [f"127.77.{network}.{last}" for network in range(PUBLISH_NETWORKS)]
