"""The arguments of podman's and docker's commands: pure functions, compared as text in tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from spotdeploy.ports import PortRange
from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.engines.container.boot import INIT, whole_seconds
from spotdeploy_local.network.commands import mac

STATE: Final = "spotdeploy.state"
"""The label that tells one state folder's containers, networks and images from another's."""
FACTS: Final = "spotdeploy.machine"
NETWORK: Final = "spotdeploy.network"

CAPABILITIES: Final = (
    *("AUDIT_WRITE", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
)
"""What a machine has beside an engine's usual ones: for logins; for addresses and packet filters
of its own network; for mounts, and for the namespaces of a boot; for reboots, which end its pid
namespace alone; for units with Nice=. In a user namespace none reaches out of it."""

USERS: Final = 65536
_NESTED: Final = ("/var/lib/containers", "/var/lib/docker")
"""Where engines keep images: an overlay cannot lie on the machine's own, which is one."""
_LOG_BYTES = "1m"
_PODMAN: Final = (
    "--systemd=always",
    "--security-opt=unmask=all",  # the kernel lets nobody mount a /proc where one has masks
    "--log-driver=k8s-file",
    f"--log-opt=max-size={_LOG_BYTES}b",
)
_DOCKER: Final = (
    "--cgroupns=private",
    *("--security-opt=systempaths=unconfined", "--security-opt=apparmor=unconfined"),
    "--env=container=docker",
    "--log-driver=json-file",
    f"--log-opt=max-size={_LOG_BYTES}",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine is on this host's networks."""

    network: str
    address: str
    published_address: str
    published: tuple[int, ...]
    """The ports that are offered there."""
    forwarded: Mapping[int, int]
    """Port to the port of 127.0.0.1 that leads to it, where containers are not reached directly."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept with a container, in its label."""

    id: str
    name: str
    network: str
    labels: Mapping[str, str]
    details: Mapping[str, str]
    publish: tuple[int, ...]
    open_between: tuple[PortRange, ...]
    open_to: str
    names: tuple[str, ...]
    created_at: float
    time_to_live: float | None
    place: Place


def container_name(key: str, machine: str) -> str:
    return f"spotdeploy-{key}-{machine}"


def network_name(key: str, network: str) -> str:
    return f"spotdeploy-{key}-{network}"


def create(
    program: str,
    key: str,
    spec: MachineSpec,
    facts: Facts,
    image: str,
    *,
    limits: Mapping[str, int],
    first_user: int | None,
) -> list[str]:
    """`create`: everything that a machine is, but the files that are put into it. `first_user` is
    the host's user that its root is, where the engine can be told."""
    place = facts.place
    labels = {STATE: key, FACTS: json.dumps(asdict(facts)), **spec.labels}
    seconds = spec.time_to_live
    return [
        "create",
        f"--name={container_name(key, spec.id)}",
        f"--hostname={spec.name}",
        "--tty",  # systemd writes to the console that comes with it
        f"--network={place.network}",
        f"--network-alias={spec.name}",  # before 5, podman's names find no host name
        f"--ip={place.address}",
        # a successor is then known to every neighbour; docker sees to that by itself
        *([f"--mac-address={mac(place.address)}"] if program == "podman" else []),
        "--sysctl=net.ipv6.conf.all.disable_ipv6=1",  # a way round what is open between machines
        *(f"--publish={place.published_address}:{port}:{port}" for port in place.published),
        *(f"--publish=127.0.0.1:{here}:{port}" for port, here in place.forwarded.items()),
        *(
            f"--{kind}=0:{first_user}:{USERS}"
            for kind in ("uidmap", "gidmap")
            if first_user is not None
        ),
        *(f"--cap-add={name}" for name in CAPABILITIES),
        *limit_options(limits),
        *(f"--label={name}={value}" for name, value in labels.items()),
        *(_PODMAN if program == "podman" else _DOCKER),
        *(f"--volume={folder}" for folder in _NESTED if spec.nested),
        # past the end that process 1 knows of: the engine's own, which nobody in there can undo
        *([f"--timeout={whole_seconds(seconds) + 1}"] if seconds and program == "podman" else []),
        image,
        INIT,
    ]


def limit_options(limits: Mapping[str, int]) -> list[str]:
    return [f"--ulimit={name}={value}:{value}" for name, value in limits.items()]


def build(program: str, limits: Mapping[str, int], arguments: Sequence[str]) -> list[str]:
    """`build`. With podman its steps run in no container of their own, which would need the groups
    of one that runs; docker's run under the limits of its daemon."""
    own = ["--isolation=chroot", *limit_options(limits)] if program == "podman" else []
    return ["build", *own, *arguments]


def create_network(program: str, key: str, network: str, subnet: str) -> list[str]:
    """`network create`: podman keeps isolated networks apart; docker does so by itself."""
    return [
        *("network", "create", f"--label={STATE}={key}", f"--label={NETWORK}={network}"),
        *(["--opt=isolate=true"] if program == "podman" else []),
        f"--subnet={subnet}",
        network_name(key, network),
    ]


def list_ids(key: str) -> list[str]:
    return ["ps", "--all", "--quiet", "--no-trunc", f"--filter=label={STATE}={key}"]


def list_containers(key: str) -> list[str]:
    """podman's own listing has all that we need of each container; docker's has not."""
    return ["ps", "--all", "--no-trunc", f"--filter=label={STATE}={key}", "--format=json"]


def list_network_names(key: str) -> list[str]:
    return ["network", "ls", f"--filter=label={STATE}={key}", "--format={{.Name}}"]


def list_networks(key: str) -> list[str]:
    """podman's own listing has all that we need of each network; docker's has not."""
    return ["network", "ls", f"--filter=label={STATE}={key}", "--format=json"]


def remove(program: str, containers: Sequence[str]) -> list[str]:
    """`rm` at once: podman would first let them shut down."""
    return [
        "rm",
        "--force",
        "--volumes",
        *(["--time=0"] if program == "podman" else []),
        *containers,
    ]
