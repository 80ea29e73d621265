"""The contract between the core and a cloud.

The core makes one object per location and calls it from one thread at a time, always the same
one, so a provider needs no locks (libcloud's drivers are not thread-safe). Methods block; the
core keeps them off its event loop. Every method may raise `CredentialsError`, `ThrottledError`
(the core repeats the call after a pause) or `ProviderError`, with the cloud's own words.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import msgspec

from spotdeploy import labels as names
from spotdeploy.duration import Duration
from spotdeploy.errors import LostReplyError, ProviderError, SpotdeployError, ThrottledError
from spotdeploy.model import (
    Batch,
    Cached,
    Created,
    Fate,
    Node,
    NodeState,
    Offer,
    Pool,
    Problem,
    Resource,
)


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of a provider's `[provider.NAME]` table."""

    of_account: ClassVar[frozenset[str]] = frozenset()
    """Keys that say whose account is meant, and where it is asked: they hold for a whole
    deployment, and no group may say otherwise."""

    settle_seconds: Duration | None = None
    """How long a listing may miss what was just made, instead of what the provider says; a page of
    `plugins test --live` shows what was seen."""


C = TypeVar("C", bound=ProviderConfig)


class Provider(ABC, Generic[C]):
    """One location of one cloud, as the core sees it. A class of yours inherits from
    `BaseProvider`, which keeps some of these promises for it."""

    name: ClassVar[str]
    """As in `--provider NAME`, in labels and in `[provider.NAME]`."""
    Config: ClassVar[type[ProviderConfig]]
    """The type of `[provider.NAME]`."""
    user_data_limit: ClassVar[int] = 16384
    """The most bytes of user-data the cloud takes, before base64."""
    settle_seconds: float = 0.0
    """How long after a create call its nodes may still be missing from a listing: absence is
    believed only after that. 0 where listings are consistent. The config may say another."""
    quota_seconds: float = 60.0
    """How long after a node is gone its quota may still be counted: for so long a create call that
    would fit is asked again. 0 where there is no quota, or it is free with the node."""
    poll_seconds: ClassVar[float] = 5.0
    """How often the core lists while it waits."""

    @classmethod
    @abstractmethod
    def locations(cls, config: C) -> Sequence[str]:
        """The locations this config names, first choice first. Calls nothing, never blocks."""

    @abstractmethod
    def __init__(self, config: C, location: str) -> None:
        """Keep what is given. Reads no credentials, calls nothing, imports no cloud library."""

    @abstractmethod
    def doctor(self) -> Sequence[Problem]:
        """Credentials, quota and tools: everything that would stop a run, each with a remedy.

        Blocks for seconds at most, is free of charge, changes nothing, may be repeated.
        """

    @abstractmethod
    def offers(self, pool: Pool) -> Sequence[Offer]:
        """The candidates in this location, best first, with price or None.

        May block on price calls. Creates nothing. May be repeated. Offers above the pool's
        price limit are left out; one whose price is unknown stays in only when there is no limit.
        """

    @abstractmethod
    def create(self, offer: Offer, batch: Batch) -> Created:
        """Ask for `batch.count` nodes and return at once with what the cloud gave.

        One API call for the whole batch where the cloud has one, and `batch.labels` on that very
        call. Does not wait for boot. Repeating it with the same token creates nothing more and
        returns the same nodes. A partial fill is a result, not an error.

        A refusal says how far it reaches (`ProviderError.reach`); the core asks no more for what it
        reaches.

        Raises:
            CapacityError: nothing was created; another candidate may work.
            QuotaError: nothing was created; fewer may work, or another place.
            LostReplyError: nodes may exist; a listing by the batch label will tell.
        """

    @abstractmethod
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        """Every node that carries all these labels and is not gone, asked of the cloud.

        `labels.ANY` in place of a value selects whatever has that label. Includes stopped and
        pre-empted nodes whose disks are still billed. The number of calls
        does not grow with the number of nodes. Empty `labels` is an error in the caller: it
        raises ValueError. May be repeated.
        """

    @abstractmethod
    def destroy(self, nodes: Sequence[Node]) -> None:
        """Begin to end these nodes, in as few calls as the cloud allows; does not wait for gone.

        A missing node is success, a repeated one too; an empty sequence calls nothing at all.
        May be repeated. One node that cannot be ended never keeps the others from being ended.
        """

    @abstractmethod
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Every other thing here that carries these labels and is billed or named; `labels.ANY`
        as in `nodes`. May be repeated."""

    @abstractmethod
    def release(self, resources: Sequence[Resource]) -> None:
        """Delete these. A missing one is success; one still in use is left for the next try."""

    @abstractmethod
    def fate(self, node: Node) -> Fate:
        """What became of a node, asked before any failure is blamed on the payload."""

    @abstractmethod
    def auto_shutdown(self) -> str:
        """What ends a node here if nobody comes back, in a few words for `plan`."""

    def manual_delete_command(self, thing: Node | Resource) -> str:
        """The exact command or console page with which a person ends this thing."""
        return f"delete {thing.id} in the console of {self.name}"

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        """The exact command or console page that shows a person what has these labels here, for
        when the provider itself cannot be asked. Calls nothing."""
        desired = " and ".join(f"{key}={value}" for key, value in labels.items())
        return f"look for what is labelled {desired} in the console of {self.name}"


class BaseProvider(Provider[C]):
    """What every provider would write alike, written once: it keeps what is given, refuses a
    listing by no labels, leaves out what nobody asked for, and never passes on an empty list.

    A class of yours says the rest: `locations`, `create`, `fate`, `auto_shutdown`, and the five
    methods here without a body. They are as the contract's methods of the same purpose, and may
    block and raise as those.
    """

    config: C
    location: str

    def __init__(self, config: C, location: str) -> None:
        self.config = config
        self.location = location

    @abstractmethod
    def find_offers(self, pool: Pool) -> Iterable[Offer]:
        """As `offers`, at any price: those above the pool's limit are left out for you."""

    @abstractmethod
    def find_nodes(self, labels: Mapping[str, str]) -> Iterable[Node]:
        """As `nodes`. There is at least one label; nodes that lack one, or are gone, may be among
        the answer, as where a cloud cannot filter by label: they are left out for you."""

    @abstractmethod
    def end_nodes(self, nodes: Sequence[Node]) -> None:
        """As `destroy`, for one node at least. `refusals.try_each` is for a cloud that ends them
        one by one."""

    @abstractmethod
    def find_leftovers(self, labels: Mapping[str, str]) -> Iterable[Resource]:
        """As `leftovers`. There is at least one label; things that lack one may be among the
        answer, and are left out for you."""

    @abstractmethod
    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        """As `release`, for one thing at least."""

    def doctor(self) -> Sequence[Problem]:
        """What keeps this location from listing its nodes, which wrong credentials would."""
        try:
            self.nodes(names.anyones())
        except SpotdeployError as error:
            return [problem_of(error)]
        return []

    def offers(self, pool: Pool) -> Sequence[Offer]:
        return within_price(self.find_offers(pool), pool)

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        require_labels(labels)
        return [
            node
            for node in self.find_nodes(labels)
            if node.state is not NodeState.GONE and names.matches(node.labels, labels)
        ]

    def destroy(self, nodes: Sequence[Node]) -> None:
        if nodes:
            self.end_nodes(nodes)

    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        require_labels(labels)
        return [
            thing for thing in self.find_leftovers(labels) if names.matches(thing.labels, labels)
        ]

    def release(self, resources: Sequence[Resource]) -> None:
        if resources:
            self.delete_leftovers(resources)


class SupportsPlan(ABC):
    """A provider that can tell, before anything is destroyed, what it would refuse of a request."""

    @abstractmethod
    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        """What is known to stand against creating `batch.count` nodes with `offers(pool)`: the
        part of `doctor` that depends on what is asked for, such as who may reach the nodes, the
        size of the disk, labels, and quotas beside count and size.

        `batch` is a draft: its count is what must be there for the run to pass, or 1 where other
        providers may give the rest, its user-data is empty, and its labels name no run. What the
        nodes of its deployment use counts as free, since they end first. Blocks for seconds at
        most, is free of charge, changes nothing, may be repeated.
        """


class SupportsConsole(ABC):
    """A provider that can show what a node printed on its console."""

    @abstractmethod
    def console(self, node: Node) -> str:
        """The console's text, possibly empty. Blocks for seconds at most. May be repeated."""


class SupportsDial(ABC):
    """A provider whose nodes are not reached by a plain TCP connection to their address.

    These two methods may be called from any thread.
    """

    @abstractmethod
    def dial(self, node: Node, port: int, timeout: float) -> socket.socket:
        """A connected socket to the node's TCP port. Raises OSError as connect does.

        `timeout` is in seconds.
        """

    @abstractmethod
    def proxy_command(self, node: Node, port: int) -> Sequence[str]:
        """A command that bridges its standard input and output to the node's port, for OpenSSH's
        `ProxyCommand`."""


class SupportsAccount(ABC):
    """A provider that knows whose account it acts in (the account guard asks it)."""

    @abstractmethod
    def account(self) -> str:
        """The account's, project's or subscription's id."""


class SupportsAllLocations(ABC):
    """A provider that can name every location where its account may have something of ours."""

    @abstractmethod
    def all_locations(self) -> Sequence[str]:
        """The locations, asked of the cloud. Changes nothing, may be repeated."""


class SupportsPrepare(ABC):
    """A provider that must make something on this host before its first create."""

    @abstractmethod
    def prepare(self, progress: Callable[[str], None]) -> None:
        """Make it, reporting each step; returns at once when it is there. Blocks for minutes."""


class SupportsPrune(ABC):
    """A provider that keeps things on this computer that it can make again, such as images."""

    @abstractmethod
    def cached(self) -> Sequence[Cached]:
        """What is kept and no node uses, whatever config it was made for. Changes nothing, may be
        repeated."""

    @abstractmethod
    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        """Remove these, and return those that are gone now: one that a node uses by now stays, and
        a missing one is gone. May be repeated."""


class SupportsClaims(ABC):
    """A provider that can keep two computers from working on one deployment at the same time.

    A claim is a thing that is not billed, of a name that follows from the deployment alone, such
    that the cloud makes it once. `leftovers` lists it with the label `labels.CLAIM`, and `release`
    deletes it.
    """

    @abstractmethod
    def claim(self, labels: Mapping[str, str]) -> Resource:
        """Make the claim of `labels[DEPLOYMENT]`, with all these labels, unless there is one, and
        return the one that is there.

        Of two callers at once, each with a run of its own, just one is given its own labels back.
        To ask again with the labels that it has gives the same. Blocks for seconds at most; raises
        ThrottledError while the one that is there cannot be read yet or is just going.
        """


class SupportsPeers(ABC):
    """A provider that can let in nodes of the same deployment that are somewhere else."""

    @abstractmethod
    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """Let these IP addresses reach the ports in `batch.open_between` of every node here that
        was made for a batch of the same run that lets in the same; and let in no more those
        that an earlier call named and this one does not.

        `batch` is a draft: its token, count and user-data say nothing. Nodes of it that are made
        later let them in as well. What this makes goes with the nodes, as what `create` makes.
        Blocks for seconds at most, is free of charge, may be repeated.
        """


class SupportsInterruptionNotice(ABC):
    """A provider whose nodes can read, on themselves, that the cloud is about to take them back.

    These two methods call nothing and may be called from any thread.
    """

    @abstractmethod
    def notice_command(self) -> Sequence[str]:
        """The command to run on a node. It ends within seconds, with exit code 0, and prints
        nothing while no interruption was announced."""

    @abstractmethod
    def notice(self, output: str) -> Fate | None:
        """The fate that the command's output announces, or None. Output that makes no sense
        announces nothing."""


def create_each(
    batch: Batch, make: Callable[[str], Node], undo: Callable[[str], object] | None = None
) -> Created:
    """A batch where the cloud makes nodes one by one: `make` is given a name for each, which
    follows from the batch's token. It makes the node of that name, or finds the one that is there.
    Where that takes several calls, `undo` removes what is half made when a later one is refused.

    A refusal after the first node is a shortfall. What is to be repeated is raised, and nothing
    undone, since the same names are asked for again then.
    """
    made: list[Node] = []
    for number in range(1, batch.count + 1):
        name = f"{batch.token}-{number}"
        try:
            made.append(make(name))
        except (ThrottledError, LostReplyError):
            raise
        except ProviderError as error:
            if undo:
                undo(name)
            if not made:
                raise
            return Created(tuple(made), error.message)
    return Created(tuple(made))


def require_labels(labels: Mapping[str, str]) -> None:
    """Refuse to list by no labels at all, as `nodes` and `leftovers` must: such a listing would
    name machines that are not ours. Raises ValueError."""
    if not labels:
        raise ValueError("a listing needs at least one label")


def problem_of(error: SpotdeployError) -> Problem:
    """An error as a finding that would stop a run."""
    return Problem(error.message, error.hint or "see the message", exit_code=error.exit_code)


def within_price(offers: Iterable[Offer], pool: Pool) -> list[Offer]:
    """The offers that `offers` may return: none above the pool's price limit, and where there is
    a limit none of unknown price."""
    limit = pool.max_usd_per_hour
    return [
        offer
        for offer in offers
        if limit is None or (offer.usd_per_hour is not None and offer.usd_per_hour <= limit)
    ]
