"""The private network of a set of machines: a namespace with a bridge, and no way out of it.

A machine's own namespace belongs to its supervisor and ends with it; only the switch's namespace
has a file, so that others may enter it (`nsenter --net=FILE`). All addresses live inside these
namespaces: the host's own network is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spotdeploy.errors import HostError
from spotdeploy_local.engine import Machine
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux import syscalls
from spotdeploy_local.network import filters
from spotdeploy_local.network.commands import switch_commands
from spotdeploy_local.network.nft import run_nft

# What machines send to one another the switch forwards, on the one interface it has, once it has
# rules that say what: a new namespace may do so from the start, as the host does. It answers for
# every machine then, without the delay that is meant for proxies, and tells no sender of a better
# way: there is none. https://docs.kernel.org/networking/ip-sysctl.html
_SETTINGS = (
    ("ip_forward", "0"),
    ("conf/all/send_redirects", "0"),
    ("conf/default/send_redirects", "0"),
    ("conf/br0/proxy_arp_pvlan", "1"),
    ("neigh/br0/proxy_delay", "0"),
)
_IPV4 = Path("/proc/sys/net/ipv4")
_FORWARDING = _IPV4 / "ip_forward"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Networks:
    """Callers hold the engine's lock, but for `drop`."""

    layout: Layout
    held: dict[str, int]
    """Networks that this process holds, with the descriptor that does it."""

    def ensure(self, name: str) -> Path:
        """Make the network if it is not there; gives the file its namespace is mounted on."""
        file = self.layout.switch(name)
        create_switch(file)
        return file

    def filter(self, name: str, machines: Sequence[Machine]) -> None:
        """Let the network's machines, which are given, reach of one another what they open, and
        tell them at once of what leads nowhere. Raises HostError, with the output of nft; never
        where nothing is open and nothing was."""
        file = self.layout.switch(name)

        def work() -> None:
            _enter(file)
            needed = filters.opens(machines) or _FORWARDING.read_text().strip() != "0"
            try:
                _run_nft(filters.ruleset(machines))
            except HostError:
                if needed:
                    raise
            else:
                _FORWARDING.write_text("1")

        in_thread(work)

    def hold(self, name: str) -> Path:
        """Make it, and keep it until `drop` or until this process ends."""
        file = self.ensure(name)
        if name not in self.held:
            fd = os.open(self.layout.hold(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_SH)
            self.held[name] = fd
        return file

    def drop(self, name: str) -> None:
        """Undo `hold`; repeated is success."""
        fd = self.held.pop(name, None)
        if fd is not None:
            os.close(fd)

    def idle(self, used: Collection[str]) -> list[str]:
        """The networks that nobody uses or holds."""
        names = sorted(file.stem for file in self.layout.run.glob("*.net"))
        return [name for name in names if name not in used and not self._is_held(name)]

    def remove(self, name: str) -> None:
        """Remove it; a missing one is success."""
        remove_switch(self.layout.switch(name))
        self.layout.hold(name).unlink(missing_ok=True)
        if self.layout.run.is_dir() and not any(self.layout.run.iterdir()):
            self.layout.run.rmdir()

    def _is_held(self, name: str) -> bool:
        try:
            fd = os.open(self.layout.hold(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


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
            syscalls.unmount(str(file))
        file.unlink()


def socket_in(file: Path) -> socket.socket:
    """A new TCP socket that belongs to the namespace on `file`. Raises OSError.

    A thread enters the namespace and ends; the caller's own namespace stays as it is.
    """

    def make() -> socket.socket:
        _enter(file)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    return in_thread(make)


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, which it may move elsewhere, and give its result."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


def _enter(file: Path) -> None:
    """Move the calling thread into the namespace on `file`."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
    finally:
        os.close(fd)


def _run_nft(text: str) -> None:
    run_nft(
        text,
        "open ports between machines",
        "use a kernel with nf_tables, or leave nodes.open_between out",
    )


def _become_switch(file: Path) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    syscalls.mount(own, str(file), "", syscalls.MS_BIND)
    subprocess.run(
        ["ip", "-batch", "-"], input=switch_commands(), text=True, check=True, capture_output=True
    )
    for setting, value in _SETTINGS:
        (_IPV4 / setting).write_text(value)
