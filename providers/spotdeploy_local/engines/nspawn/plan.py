"""What a supervisor is to do, worked out beforehand as plain data: pure functions only."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypedDict

from spotdeploy_local.engine import Bind, MachineSpec
from spotdeploy_local.engines.nspawn.confinement import Confinement
from spotdeploy_local.engines.nspawn.places import (
    BINDS,
    DISK,
    NETWORK_NAMESPACE,
    USER_NAMESPACE,
)
from spotdeploy_local.network.commands import GATEWAY, machine_commands, port_commands

PUBLISH_NETWORKS = 256

# Joins control groups before it becomes the container; a shell does it because Python may not
# fork once it has threads. The machine's folder is nothing that root on the machine may see.
_JOIN = 'cd /; while [ "$1" != -- ]; do echo 0 >"$1"; shift; done; shift; exec "$@"'

# Newer releases (255, 257) mount where they are started, not in their child alone.
# https://github.com/systemd/systemd/blob/v257/src/nspawn/nspawn.c
_CONFINE = (
    *("nsenter", f"--user={USER_NAMESPACE}", "--"),
    *("unshare", "--mount", "--propagation=unchanged", "--"),
)


class Plan(TypedDict):
    """The content of a machine's plan.json."""

    address: str
    switch: str
    """The file on which the network's namespace is mounted."""
    network: str
    name_server: str
    """The switch's address, at which supervisors tell the names of the network's machines."""
    run_folder: str
    """Mounts below it belong to other networks and are let go."""
    port_commands: str
    machine_commands: str
    first_user: int
    """The host's user that the machine's root is; 0 without a user namespace."""
    image: str
    """The folder that has the root of its image."""
    root: str
    """The folder on its disk that is its root."""
    binds: list[tuple[str, bool]]
    """What of the host is shown, and whether it is read-only."""
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
    tree: Path,
    switch: Path,
    engine_groups: list[str],
    node_groups: list[str],
    confined: Confinement,
) -> Plan:
    """The whole plan of one machine."""
    first_user = confined.first_user(spec.id)
    root = f"{DISK}/{tree.name}"
    return Plan(
        address=address,
        switch=str(switch),
        network=spec.network,
        name_server=str(GATEWAY),
        run_folder=str(switch.parent.parent),
        port_commands=port_commands(address, spec.extra_addresses),
        machine_commands=machine_commands(address, spec.extra_addresses),
        first_user=first_user,
        image=str(tree.parent),
        root=root,
        binds=[(str(bind.source), bind.read_only) for bind in spec.binds],
        container=container_command(spec, root, node_groups, confined),
        engine_groups=engine_groups,
        publish_ports=list(spec.publish),
        publish_addresses=publish_addresses(address),
        lifetime=spec.time_to_live,
    )


def container_command(
    machine: MachineSpec, root: str, groups: Sequence[str], confined: Confinement
) -> list[str]:
    """The command that boots the machine inside its supervisor's namespaces. In a user namespace
    systemd-nspawn may move no mount that was made outside of it, and so `root` is a folder, which
    it binds by itself."""
    return [
        *("/bin/sh", "-ec", _JOIN, "sh", *groups, "--"),
        *(() if confined.refusal else _CONFINE),
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--register=no",
        "--keep-unit",
        "--boot",
        f"--directory={root}",
        f"--machine={machine.name}",
        f"--network-namespace-path={NETWORK_NAMESPACE}",
        "--console=read-only",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--kill-signal=SIGRTMIN+3",
        "--capability=CAP_NET_ADMIN",  # of its own network, for packet filters
        *confined.options,
        *(bind_option(number, bind) for number, bind in enumerate(machine.binds)),
    ]


def bind_option(number: int, bind: Bind) -> str:
    """One `--bind` option, of what the supervisor shows; colons in paths are escaped."""
    target = bind.target.replace("\\", "\\\\").replace(":", "\\:")
    return f"--bind{'-ro' if bind.read_only else ''}={BINDS}/{number}:{target}"


def publish_addresses(address: str) -> list[str]:
    """Where to offer a machine's ports: 127.77.0.N for 10.77.0.N, then 127.77.1.N and so on."""
    last = IPv4Address(address).packed[3]
    return [f"127.77.{network}.{last}" for network in range(PUBLISH_NETWORKS)]
