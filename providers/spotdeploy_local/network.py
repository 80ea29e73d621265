"""The private network of a set of machines: a namespace with a bridge, and no way out of it.

A machine's own namespace belongs to its supervisor and ends with it; only the switch's namespace
has a file, so that others may enter it (`nsenter --net=FILE`). All addresses live inside these
namespaces: the host's own network is never touched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from spotdeploy_local import linux

SUBNET: Final = IPv4Network("10.77.0.0/16")
GATEWAY: Final = SUBNET[1]

# The switch forwards between machines of different subnets, on the one interface it has: telling
# senders of a better way would only eat into the kernel's limit on error messages.
_SETTINGS = (
    ("ip_forward", "1"),
    ("conf/all/send_redirects", "0"),
    ("conf/default/send_redirects", "0"),
)

T = TypeVar("T")


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
    namespace is `/proc/1/ns/net`: a cable to the machine, and routes to what is off the subnet."""
    port = port_name(address)
    routes = [a for a in (address, *extra) if IPv4Address(a) not in SUBNET]
    return (
        f"link add {port} type veth peer name eth0 address {mac(address)} netns /proc/1/ns/net\n"
        f"link set {port} master br0 up\n"
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


def free_addresses(used: set[str], count: int) -> list[str]:
    """The first `count` addresses of the subnet that no machine has. Raises OverflowError."""
    hosts = (str(host) for host in SUBNET.hosts() if host != GATEWAY)
    free = list(islice((host for host in hosts if host not in used), count))
    if len(free) < count:
        raise OverflowError(f"the subnet {SUBNET} is full")
    return free


def create_switch(file: Path) -> None:
    """Make a namespace with a bridge, mounted on `file`; one that is there stays.

    Raises OSError.
    """
    if is_switch(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    in_thread(lambda: _become_switch(file))


def is_switch(file: Path) -> bool:
    """True when a namespace is mounted on `file`."""
    try:
        return file.stat().st_dev != file.parent.stat().st_dev
    except FileNotFoundError:
        return False


def remove_switch(file: Path) -> None:
    """Unmount and remove; a missing one is success. The namespace ends with its last process."""
    with contextlib.suppress(FileNotFoundError):
        if is_switch(file):
            linux.unmount(str(file))
        file.unlink()


def socket_in(file: Path) -> socket.socket:
    """A new TCP socket that belongs to the namespace on `file`. Raises OSError.

    A thread enters the namespace and ends; the caller's own namespace stays as it is.
    """

    def make() -> socket.socket:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.setns(fd, linux.CLONE_NEWNET)
        finally:
            os.close(fd)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    return in_thread(make)


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, which it may move elsewhere, and give its result."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


def _become_switch(file: Path) -> None:
    linux.unshare(linux.CLONE_NEWNET)
    linux.mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", str(file), "", linux.MS_BIND)
    for setting, value in _SETTINGS:
        Path("/proc/sys/net/ipv4", setting).write_text(value)
    subprocess.run(
        ["ip", "-batch", "-"], input=switch_commands(), text=True, check=True, capture_output=True
    )
