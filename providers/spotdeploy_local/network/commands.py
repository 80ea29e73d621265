"""The addresses of a network, and the `ip` commands that set it up: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final

SUBNET: Final = IPv4Network("10.77.0.0/16")
GATEWAY: Final = SUBNET[1]
BLOCK: Final = 24
"""The prefix length of the blocks in which networks are given addresses."""


def switch_commands() -> str:
    """An `ip -batch` text that makes the bridge, run inside the switch's namespace."""
    return (
        "link set lo up\n"
        "link add br0 type bridge forward_delay 0 stp_state 0\n"
        f"address add {GATEWAY}/{SUBNET.prefixlen} dev br0\n"
        "link set br0 up\n"
        "route add unreachable default\n"
    )


def port_commands(address: str, extra: Sequence[str]) -> str:
    """An `ip -batch` text, run in the switch's namespace by the supervisor whose own network
    namespace is `/proc/1/ns/net`: a cable to the machine, and routes to what is off the subnet. An
    isolated port carries nothing to other ones: what goes to another machine is for the switch to
    forward."""
    port = port_name(address)
    routes = [a for a in (address, *extra) if IPv4Address(a) not in SUBNET]
    return (
        f"link add {port} type veth peer name eth0 address {mac(address)} netns /proc/1/ns/net\n"
        f"link set {port} master br0\n"
        f"link set {port} type bridge_slave isolated on\n"
        f"link set {port} up\n"
    ) + "".join(f"route replace {route}/32 dev br0\n" for route in routes)


def machine_commands(address: str, extra: Sequence[str]) -> str:
    """An `ip -batch` text that configures the machine's end, run in the machine's namespace."""
    inside = IPv4Address(address) in SUBNET
    prefix = SUBNET.prefixlen if inside else 32
    return (
        "link set lo up\n"
        f"address add {address}/{prefix} dev eth0\n"
        + "".join(f"address add {other}/32 dev eth0\n" for other in extra)
        + "link set eth0 up\n"
        + ("" if inside else f"route add {GATEWAY} dev eth0\n")
        + f"route add default via {GATEWAY} dev eth0 src {address}\n"
    )


def port_name(address: str) -> str:
    """The switch's interface for the machine with this address (at most 15 characters)."""
    return f"m{int(IPv4Address(address)):08x}"


def mac(address: str) -> str:
    """A fixed hardware address per address: a successor is then known to every neighbour."""
    return "02:4d:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def free_address(used: Collection[str], foreign: Collection[IPv4Network]) -> str:
    """The first address of the subnet that is not in use, nor in a block of another network.
    Raises OverflowError."""
    blocks = (block for block in SUBNET.subnets(new_prefix=BLOCK) if block not in foreign)
    hosts = (str(host) for block in blocks for host in block.hosts())
    found = next((host for host in hosts if host not in used and host != str(GATEWAY)), None)
    if found is None:
        raise OverflowError(f"the subnet {SUBNET} is full")
    return found


def block(address: str) -> IPv4Network:
    """The block that an address is in. No two networks have addresses in one block."""
    return IPv4Network((address, BLOCK), strict=False)
