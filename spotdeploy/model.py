"""The nouns that the core and the providers exchange. All frozen; nothing is filled in later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.errors import Reach
from spotdeploy.ports import PortRange

DEFAULT_GROUP: Final = "nodes"
"""The one group of a config that names none."""


class Market(StrEnum):
    """How a node is bought."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


class MarketPolicy(StrEnum):
    """Which markets a pool may use, in which order."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    SPOT_THEN_ON_DEMAND = "spot-then-on-demand"

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets to try, first choice first."""
        if self is MarketPolicy.SPOT_THEN_ON_DEMAND:
            return (Market.SPOT, Market.ON_DEMAND)
        return (Market(self.value),)


class NodeState(StrEnum):
    """What the provider says a node is doing, in words that fit every cloud.

    Only `GONE` costs nothing and needs no destroy; a `STOPPED` node still has billed disks.
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    GOING = "going"
    GONE = "gone"


class Pool(msgspec.Struct, frozen=True):
    """How many like nodes are asked for, and within which limits."""

    count: int
    policy: MarketPolicy = MarketPolicy.SPOT
    max_usd_per_hour: float | None = None
    """The most one node may cost, USD per hour; None is no limit."""


class Offer(msgspec.Struct, frozen=True):
    """A place and shape to try."""

    provider: str
    location: str
    zone: str | None
    size: str
    market: Market
    usd_per_hour: float | None = None
    """USD per hour for one node; None when unknown. 0.0 only where it truly costs nothing."""
    family: str = ""
    """The cloud's name for the sizes that one quota counts together; "" is the size alone."""
    architecture: str = ""
    """The processor's, as the image's; "" is not known."""

    def __str__(self) -> str:
        return f"{self.provider} {self.zone or self.location} {self.size} {self.market}"

    def covered_by(self, refused: Offer, reach: Reach) -> bool:
        """True when a refusal of `refused` that reaches so far is one of this offer too."""
        shared: dict[Reach, Sequence[str]] = {
            Reach.OFFER: ("location", "zone", "size", "market"),
            Reach.SIZE: ("location", "size"),
            Reach.FAMILY: ("location", "market", "family" if refused.family else "size"),
            Reach.ZONE: ("location", "zone"),
            Reach.MARKET: ("location", "market"),
            Reach.IMAGE: ("location", "architecture"),
            Reach.LOCATION: ("location",),
            Reach.ACCOUNT: (),
            Reach.PROVIDER: (),
        }
        alike = all(getattr(self, key) == getattr(refused, key) for key in shared[reach])
        return self.provider == refused.provider and alike


class Batch(msgspec.Struct, frozen=True):
    """One request for like nodes, with everything the create call needs."""

    token: str
    """Makes the call idempotent: the same token never makes a second set. At most 64 characters
    of [a-z0-9-]."""
    count: int
    labels: Mapping[str, str]
    user_data: bytes
    user: str
    """The account that user-data makes on the node."""
    open_ports: tuple[int, ...] = ()
    """TCP ports to open besides ssh."""
    allow_from: tuple[str, ...] = ()
    """CIDRs that may reach the open ports; empty means the caller's own address."""
    open_between: tuple[PortRange, ...] | None = None
    """The ports on which the other nodes of its deployment and location reach these nodes, by their
    private addresses: no other port, and nobody else. No two overlap; `ports.ALL_PORTS` is
    everything, ICMP too. None where no node of the deployment opens any, so that nothing has to be
    made for it."""
    time_to_live: float = 7200.0
    """Seconds after which a node ends itself."""
    max_usd_per_hour: float | None = None
    """The most one node may cost, USD per hour: a bid where the cloud takes one."""


class Node(msgspec.Struct, frozen=True):
    """One machine, as the provider describes it now."""

    id: str
    name: str
    provider: str
    location: str
    state: NodeState
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    zone: str | None = None
    size: str | None = None
    market: Market = Market.SPOT
    address: str | None = None
    """Where ssh is dialled: a host name or an address."""
    private_address: str | None = None
    created_at: float | None = None
    """Unix time in seconds, by the cloud's clock."""
    usd_per_hour: float | None = None
    """USD per hour; None when unknown, also where its offer has a price: costs are counted with
    the offer's."""
    cloud_state: str = ""
    """The cloud's own word for the state."""

    def __str__(self) -> str:
        return self.name


class Created(msgspec.Struct, frozen=True):
    """What one create call gave."""

    nodes: tuple[Node, ...]
    shortfall: str | None = None
    """When fewer than asked: why, in the cloud's words where it gave any."""


class Resource(msgspec.Struct, frozen=True):
    """Any billed or named thing of ours that is not a node: a group, a disk, an address."""

    kind: str
    id: str
    provider: str
    location: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    detail: str = ""
    ending: bool = False
    """True while the cloud is deleting it, with no more calls of ours: once its nodes are gone it
    holds up nothing."""

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.provider} {self.location})"


class Cached(msgspec.Struct, frozen=True):
    """Something that a provider keeps on this computer and can make again, such as an image."""

    kind: str
    id: str
    size: int
    """Bytes."""
    needed: bool
    """Whether the provider would make it again with the config that it was given."""


class Phase(StrEnum):
    """What a node is going through."""

    CREATE = "create"
    CONNECT = "connect"
    BOOT = "boot"
    SHIP = "ship"
    DEPLOY = "deploy"
    REBOOT = "reboot"
    VERIFY = "verify"


class Verdict(StrEnum):
    """How a run or a node ended."""

    PASSED = "passed"
    TESTS_FAILED = "tests failed"
    """What must pass on this computer before a run did not: nothing was destroyed or made."""
    PAYLOAD_FAILED = "payload failed"
    INFRASTRUCTURE_FAILED = "infrastructure failed"
    LEAKED = "leaked"
    STOPPED = "stopped by the user"
    REFUSED = "refused"
    """Nothing was made: the command ended with an error."""
    UNFINISHED = "unfinished"
    """No verdict was reached, as far as the events go: the process was killed, or still runs."""

    @property
    def exit_code(self) -> int:
        """The process's exit code. Raises KeyError for REFUSED, whose error has its own, and for
        UNFINISHED."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASSED: 0,
    Verdict.TESTS_FAILED: 1,
    Verdict.PAYLOAD_FAILED: 1,
    Verdict.INFRASTRUCTURE_FAILED: 3,
    Verdict.LEAKED: 4,
    Verdict.STOPPED: 130,
}


class FateKind(StrEnum):
    """What became of a node."""

    UNKNOWN = "not known"
    """The cloud could not be asked."""
    ALIVE = "alive"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    VANISHED = "vanished"


class Fate(msgspec.Struct, frozen=True):
    """The provider's answer to "what became of this node?"."""

    kind: FateKind
    message: str = ""
    """The cloud's own words."""


PAYLOAD: Final = "payload"
UPLOADED: Final = "uploaded_files"
"""Where the paths of a manifest begin."""


class FileKind(StrEnum):
    """What a shipped path is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """One shipped path: a file, a folder or a link."""

    path: str
    """`payload/...` or `uploaded_files/...`, with forward slashes."""
    mode: int
    """The permission bits it has on the node, for example 0o644."""
    sha256: str
    """Of a file's content; empty for a folder and a link."""
    size: int
    """Bytes."""
    source: Path
    """Where it is read from on this computer."""
    kind: FileKind = FileKind.FILE
    target: str = ""
    """Where a link points, relative to its folder."""
    modified: int = 0
    """Its time on the node, in Unix seconds. It is no part of the digest."""

    @property
    def line(self) -> str:
        """Its line in the manifest."""
        what = self.sha256 if self.kind is FileKind.FILE else self.kind
        to = f"\t{self.target}" if self.kind is FileKind.LINK else ""
        return f"{what} 0{self.mode:o} {self.path}{to}\n"


@dataclass(frozen=True)
class Manifest:
    """Everything that is shipped, sorted by path."""

    entries: tuple[PayloadFile, ...]

    @property
    def text(self) -> str:
        """One line for each path, the way it is stored on the node: the sha256 of a file, or
        `folder` or `link`; the mode; the path; and of a link, after a tab, where it points."""
        return self.data.decode()

    @cached_property
    def data(self) -> bytes:
        """`text` as the bytes that are sent: the same ones to every node."""
        return "".join(entry.line for entry in self.entries).encode()

    @cached_property
    def digest(self) -> str:
        """The sha256 of `text`: the name of this payload."""
        import hashlib  # takes longer than a listing needs

        return hashlib.sha256(self.data).hexdigest()

    @property
    def files(self) -> tuple[PayloadFile, ...]:
        """Those that are files."""
        return tuple(entry for entry in self.entries if entry.kind is FileKind.FILE)

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(entry.size for entry in self.entries)


def changed_paths(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each path whose line is not the same in two manifests, with how it differs; sorted."""
    return [
        f"{path} {'is gone' if path not in now else 'changed' if path in before else 'is new'}"
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path)
    ]


class Problem(msgspec.Struct, frozen=True):
    """Something `doctor` found."""

    what: str
    remedy: str
    fatal: bool = True
    """False for a warning: the run may go on."""
    exit_code: int = 3
    """What a run that it stops ends with: 2 when the config or this computer is to blame, 3 when
    the cloud is."""
