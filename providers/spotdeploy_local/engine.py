"""What boots machines on this host: the seam between an engine and its users.

Users are the local provider and the labs, which boot a machine behind each instance of a fake
cloud. Get an engine from `engines.choice`, call `prepare()` once, then:

    machine = engine.start(MachineSpec(id="i-1", name="node-1", user_data=BOOTHOOK))
    connection = engine.dial(machine.id, 22, timeout=5.0)
    engine.destroy([machine.id])

All methods may be called from any thread and from several processes at once, and all may be
repeated. Nothing is kept in memory: what is listed is read from the kernel and the disk.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from spotdeploy.errors import ProviderError
from spotdeploy.model import Cached, Problem
from spotdeploy.ports import PortRange

Progress = Callable[[str], None]
"""Called with one line of text at each step of something long."""


class MachineState(StrEnum):
    """`STOPPED` machines keep their disk and are listed until they are destroyed."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"


class Bind(msgspec.Struct, frozen=True):
    """A file or folder of the host shown inside a machine."""

    source: Path
    target: str
    read_only: bool = True


class MachineSpec(msgspec.Struct, frozen=True):
    """A machine to be started. `id` makes the start idempotent: it is never started twice."""

    id: str
    """1 to 100 characters of [a-z0-9_-], unique on this host."""
    name: str
    """The host name: 1 to 63 characters of [a-z0-9-]."""
    numbered: bool = False
    """`name` is a stem: the machine is called by it and the first number that no other machine of
    its network has."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    user_data: bytes = b""
    """A `#cloud-boothook` shell script, gzipped or not, run as root before ssh at every boot.
    With `cloud_init`, anything cloud-init takes."""
    network: str = "default"
    """Machines of one network reach one another on `open_between`, and machines of two never do; 1
    to 100 characters of [a-z0-9_-]."""
    open_between: tuple[PortRange, ...] = ()
    """On which ports other machines of its network reach its private address; with `ALL_PORTS`, by
    ping too."""
    open_to: str = ""
    """The name that a machine must have in `names` to be let in; "" is all machines."""
    names: tuple[str, ...] = ()
    address: str | None = None
    """The private IPv4 address; None takes the first free one of 10.77.0.0/16, where each
    network has blocks of its own: no machine of another network has it."""
    extra_addresses: tuple[str, ...] = ()
    """More IPv4 addresses, such as a public-looking one, reachable inside the network."""
    publish: tuple[int, ...] = ()
    """TCP ports that the host offers on `Machine.published_address`."""
    binds: tuple[Bind, ...] = ()
    files: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    """Absolute path to content: put in place before the first boot, mode 0600."""
    cloud_init: bool = False
    """Boot the image with cloud-init. Its datasource is NoCloud when there is user-data here,
    otherwise Ec2 at 169.254.169.254, which someone must serve inside the network; another one is
    chosen by a file such as `/etc/cloud/cloud.cfg.d/99_lab.cfg` in `files`."""
    nested: bool = False
    """Give a container engine inside the machine a disk of its own for its images."""
    details: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Facts kept with the machine and given back; nothing is selected by them."""
    time_to_live: float | None = None
    """Seconds after which the machine is stopped for good, counted from its first boot."""


class Machine(msgspec.Struct, frozen=True):
    """A machine as it is now."""

    id: str
    name: str
    state: MachineState
    network: str
    address: str
    extra_addresses: tuple[str, ...]
    labels: Mapping[str, str]
    created_at: float
    """Unix time in seconds."""
    details: Mapping[str, str] = msgspec.field(default_factory=dict)
    publish: tuple[int, ...] = ()
    open_between: tuple[PortRange, ...] = ()
    open_to: str = ""
    names: tuple[str, ...] = ()
    published_address: str | None = None
    """Where the host offers the ports in `publish`: an address in 127.77.0.0/16."""
    pid: int | None = None
    """The supervisor, while it lives. Its death ends the machine at once."""
    boots: int = 0
    """How often the machine has started; 2 after one reboot. 0 where the engine does not see it."""
    notice: str | None = None
    """The message of an interruption notice, once one was given."""
    message: str = ""
    """Why it is stopped."""


class Started(msgspec.Struct, frozen=True):
    """What became of several starts."""

    machines: tuple[Machine, ...]
    failures: Mapping[str, str]
    """Id to what went wrong; nothing is left of these."""


class Leftover(msgspec.Struct, frozen=True):
    """Something of this engine's that belongs to no machine: a folder, cgroup or network."""

    kind: str
    id: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class Engine(ABC):
    """Boots, lists and ends machines. Every method may raise ProviderError or HostError."""

    @abstractmethod
    def problems(self) -> Sequence[Problem]:
        """What keeps this host from booting machines, each with its remedy. Changes nothing."""

    def filter_problems(self) -> Sequence[Problem]:
        """What keeps this host from opening ports between machines, asked where that is wanted.
        Changes nothing."""
        what = "this engine opens no ports between machines"
        return [Problem(what, "leave nodes.open_between out")]

    @abstractmethod
    def auto_shutdown(self) -> str:
        """What ends a machine when its time to live is over, in a few words for `plan`."""

    @abstractmethod
    def room(self) -> int:
        """How many more machines this host has memory for."""

    @abstractmethod
    def prepare(self, progress: Progress, *, cloud_init: bool = False) -> None:
        """Build the image, or return at once when it is there. Blocks for about a minute.

        Raises HostError when the disk is full or a package cannot be fetched.
        """

    @abstractmethod
    def cached(self, *, cloud_init: bool = False) -> Sequence[Cached]:
        """The images on this host that no machine uses, of any config; those that `prepare` would
        build are `needed`. Changes nothing."""

    @abstractmethod
    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        """Remove those of these images that no machine uses by now; gives what is gone."""

    @abstractmethod
    def start_all(self, specs: Sequence[MachineSpec]) -> Started:
        """Start machines side by side; returns when their containers run, before ssh answers.

        Raises ConfigError for a value that no machine can have, before anything is made.
        """

    def start(self, spec: MachineSpec) -> Machine:
        """Start one machine. Raises ProviderError when it does not start; nothing is left then."""
        started = self.start_all([spec])
        if started.failures:
            raise ProviderError(f"machine {spec.id} did not start: {started.failures[spec.id]}")
        return started.machines[0]

    @abstractmethod
    def machines(self) -> Sequence[Machine]:
        """Every machine that is not destroyed, half-created ones too. Runs no other program."""

    @abstractmethod
    def stop(self, ids: Sequence[str]) -> None:
        """Cut the power: the machines end at once, stay listed as stopped, and keep their disk."""

    @abstractmethod
    def preempt(self, machine: str, notice_seconds: float = 0.0) -> None:
        """Interrupt as a spot market does: give notice, wait, then cut the power.

        Blocks for `notice_seconds`. The notice shows in `Machine.notice` from the first moment.
        """

    @abstractmethod
    def destroy(self, ids: Sequence[str]) -> None:
        """End machines and remove all that is theirs; returns when they are gone.

        A missing or repeated id is success. A network goes with its last machine.
        """

    @abstractmethod
    def console(self, machine: str) -> str:
        """What the machine printed on its console: the last megabyte at most."""

    @abstractmethod
    def dial(self, machine: str, port: int, timeout: float) -> socket.socket:
        """A connected, blocking socket to a TCP port. Raises OSError as connect does."""

    @abstractmethod
    def proxy_command(self, machine: str, port: int) -> Sequence[str]:
        """A command that bridges its standard input and output to the port."""

    @abstractmethod
    def leftovers(self) -> Sequence[Leftover]:
        """Whatever crashes have left behind that belongs to no listed machine."""

    @abstractmethod
    def release(self, leftovers: Sequence[Leftover]) -> None:
        """Remove these; a missing one is success."""

    @abstractmethod
    def manual_delete_command(self, kind: str, thing: str) -> str:
        """The shell command with which a person ends a machine or a leftover of this kind."""

    @abstractmethod
    def manual_list_command(self, values: Sequence[str]) -> str:
        """The shell command that shows a person the machines with these labels' values."""


class LabEngine(Engine):
    """An engine whose networks others can enter: what the labs of clouds need besides."""

    @abstractmethod
    def hold_network(self, network: str) -> Path:
        """Make the network if need be, and keep it until `drop_network` or until this process
        ends, even without machines. Gives the file to enter it by: `nsenter --net=FILE`.

        The bridge is `br0`; an address added to it, such as 169.254.169.254/32, is reached by
        every machine of the network.
        """

    @abstractmethod
    def drop_network(self, network: str) -> None:
        """Undo `hold_network`: the network goes, unless machines are in it."""
