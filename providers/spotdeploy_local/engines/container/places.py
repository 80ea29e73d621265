"""Where machines are on this host's networks: addresses and ports that nothing else has."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Network
from typing import Final

from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.engines.container.commands import Place

SUBNETS: Final = {
    "podman": IPv4Network("10.78.0.0/16"),
    "docker": IPv4Network("10.79.0.0/16"),
}
"""Where each engine's networks are; those of systemd-nspawn are in 10.77.0.0/16."""
_SUBNET = 24
_SSH = 22


def subnets(program: str, key: str, taken: Collection[str]) -> Iterator[str]:
    """The subnets that a new network may get, beginning at one that follows from the state folder:
    another user's engine, of which this one knows nothing, rarely begins at the same."""
    every = list(SUBNETS[program].subnets(new_prefix=_SUBNET))
    first = int(key, 16) % len(every)
    return (str(one) for one in every[first:] + every[:first] if str(one) not in taken)


def free_address(subnet: str, taken: Collection[str]) -> str:
    """The first address of a network that no machine has; the very first one is the gateway's.
    Raises OverflowError."""
    _, *hosts = IPv4Network(subnet).hosts()
    found = next((str(host) for host in hosts if str(host) not in taken), None)
    if found is None:
        raise OverflowError(f"the subnet {subnet} is full")
    return found


def place(
    spec: MachineSpec,
    network: str,
    address: str,
    taken: Collection[str],
    *,
    direct: bool,
    spent: Collection[int] = (),
) -> Place:
    """A machine's place. `taken` are addresses that other machines' ports are offered on, `spent`
    are ports that can be offered nowhere any more, and `direct` says that this host reaches
    containers at their own address."""
    offered = [port for port in spec.publish if port not in spent]
    published_address, published = offer(offered, candidates(address, taken))
    inside = () if direct else sorted({_SSH, *spec.publish})
    forwarded = dict(zip(inside, free_ports(len(inside)), strict=True))
    return Place(network, address, published_address, published, forwarded)


def candidates(address: str, taken: Collection[str]) -> list[str]:
    """Where to offer a machine's ports: 127.77.0.N for 10.78.1.N, then 127.77.1.N and so on. Only
    Linux has all of 127.0.0.0/8."""
    if sys.platform != "linux":
        return ["127.0.0.1"]
    last = address.rpartition(".")[2]
    found = (f"127.77.{number}.{last}" for number in range(256))
    return [one for one in found if one not in taken]


def offer(ports: Sequence[int], addresses: Iterable[str]) -> tuple[str, tuple[int, ...]]:
    """The first address where all ports are free, else where most are; with those ports. What is
    left out is taken, or below 1024 and not allowed to this user."""
    best: tuple[str, tuple[int, ...]] = "127.0.0.1", ()
    for address in addresses:
        free = tuple(port for port in ports if is_free(address, port))
        if len(free) == len(ports):
            return address, free
        if len(free) > len(best[1]):
            best = address, free
    return best


def is_free(address: str, port: int) -> bool:
    """Whether this user could listen there."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
