"""Destroy: end everything of this deployment and prove that nothing is left.

What to destroy is the union of what the cloud lists under our label and what the journal knows.
A node absent from one listing is not gone: absence counts once the provider's listings have had
`settle_seconds` to catch up since the last create call, and must then be seen again; and a node
that the journal knows is asked to end by its id before any listing may prove it gone. A create call
whose answer is not known may have taken effect just before the destroy began, and so may one that
a journal which was just made does not know of.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

from spotdeploy import labels
from spotdeploy.duration import spell
from spotdeploy.errors import (
    CredentialsError,
    HostError,
    ProviderError,
    RefusedError,
    SpotdeployError,
    ThrottledError,
)
from spotdeploy.events import NodeDestroyed, Note, StepEnded, StepStarted
from spotdeploy.model import Node, NodeState, Resource
from spotdeploy.node import keys
from spotdeploy.phases.account import require_same_account
from spotdeploy.provider import Provider
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import keep_trace
from spotdeploy.run.verdict import Proof, Receipt
from spotdeploy.state.journal import Intent, JournalNode, Unproven
from spotdeploy.text import counted, plain

PROOFS: Final = 2
YOUNG: Final = 30.0
"""Seconds from its first listing that a destroy with a new journal waits at most for what the cloud
may hide: a new journal is nearly always that of a new checkout, and seldom one that was lost."""
T = TypeVar("T")


class BrokenCallError(ProviderError):
    """A call of a provider ended with an exception that is none of ours; the message says which,
    and where its trace is."""


async def destroy(run: Run, *, own: bool = False, before_create: bool = False) -> Receipt:
    """Destroy everything of the deployment in every location, in parallel; with `own`, only what
    this run made or may have made: another run's nodes are named and left.

    With `before_create` True, what the cloud is deleting itself is not waited for once its nodes
    are gone: it holds up no create. The next destroy looks at it again.

    Each location ends for itself. What could not be proven gone is in the receipt, and so is a
    location that cannot be asked, once another one had something to tell.

    Raises:
        ProviderError: a location cannot be asked, nothing of ours is known to be there, and no
            other location has or had anything.
        RefusedError: a rule of the product forbids it, and no location has or had anything.
    """
    run.bus.emit(StepStarted(step="destroy"))
    sweeps = [
        Sweep(run, location, own=own, wait_for_ending=not before_create)
        for location in run.all_locations
    ]
    results = await asyncio.gather(*(sweep.run() for sweep in sweeps), return_exceptions=True)
    receipts = [result for result in results if isinstance(result, Receipt)]
    changed = any(each.destroyed or each.released or each.left for each in receipts)
    for sweep, result in zip(sweeps, results, strict=True):
        if isinstance(result, SpotdeployError) and changed:
            receipts.append(sweep.unproven(result))
        elif isinstance(result, BaseException):
            run.bus.emit(StepEnded(step="destroy", ok=False, detail=str(result)))
            raise result
    receipt = join(receipts)
    if receipt.clean:
        _forget_keys(run)
    run.bus.emit(StepEnded(step="destroy", ok=receipt.clean, detail=describe(receipt)))
    return receipt


def _forget_keys(run: Run) -> None:
    """Delete the ssh keys of the deployment, unless the journal knows of a node somewhere else or
    may have lost what it knew."""
    try:
        known = run.journal.nodes(run.deployment) or run.journal.open_intents(run.deployment)
        if run.journal.whole and not known:
            keys.forget(run.project.keys_folder)
    except (HostError, OSError) as error:
        text = f"the ssh keys in {run.project.keys_folder} were not deleted: {error}"
        run.bus.emit(Note(text=text, warning=True))


async def destroy_nodes(run: Run, location: Location, nodes: Collection[Node]) -> Receipt:
    """Destroy just these nodes of one location, and wait until they are gone."""
    return await Sweep(run, location, only=frozenset(node.id for node in nodes)).run()


def join(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for several locations."""
    return Receipt(
        destroyed=tuple(node for receipt in receipts for node in receipt.destroyed),
        proofs=tuple(proof for receipt in receipts for proof in receipt.proofs),
        released=tuple(thing for receipt in receipts for thing in receipt.released),
        listings=min((receipt.listings for receipt in receipts), default=0),
        seconds=max((receipt.seconds for receipt in receipts), default=0.0),
        left=tuple(what for receipt in receipts for what in receipt.left),
        ending=tuple(what for receipt in receipts for what in receipt.ending),
    )


def describe(receipt: Receipt) -> str:
    """A receipt in one line; what is left, and what is ending, has a line each below it."""
    if not receipt.clean:
        return "\n".join(("not proven gone:", *receipt.left, *receipt.ending))
    return "\n".join((_describe_gone(receipt), *receipt.ending))


def _describe_gone(receipt: Receipt) -> str:
    if not receipt.destroyed and not receipt.released:
        return f"nothing was there ({receipt.listings} listings)"
    released = counted(len(receipt.released), "leftover")
    things = f", {released} released" if receipt.released else ""
    nodes = counted(len(receipt.destroyed), "node")
    return f"{nodes} gone{things}, proven by {receipt.listings} listings"


class Sweep:
    """The destroy of one location."""

    def __init__(
        self,
        run: Run,
        location: Location,
        *,
        own: bool = False,
        only: frozenset[str] | None = None,
        wait_for_ending: bool = True,
    ) -> None:
        """Of everything of the deployment; with `own`, of what the run made; or `only` of these
        ids."""
        self._run = run
        self._location = location
        self._own = own
        self._only = only
        self._wait_for_ending = wait_for_ending
        self._empty = 0
        """How many listings in a row showed nothing, or nothing but what the cloud is deleting."""
        self._others: dict[str, Node] = {}
        self._message = ""
        self._known = {node.id: node for node in map(_as_node, self._journalled())}
        self._asked: set[str] = set()
        self._tried: set[str] = set()
        self._listings = 0
        self._first_listed_at = math.inf
        self._destroyed: dict[str, Node] = {}
        self._released: list[Resource] = []
        self._things: Sequence[Resource] = ()
        self._asked_leftovers = False
        noted = [(one.what, one.by_hand) for one in self._noted_unproven()]
        self._earlier, self._unproven = (noted, []) if own else ([], noted)
        self._expected = bool(self._known or self._open_intents() or self._unproven)

    async def run(self) -> Receipt:
        """Repeat list, destroy, release until `PROOFS` listings in a row show nothing, within
        `timeouts.destroy`, whether the cloud answers or not. What the cloud is deleting itself once
        its nodes are gone is waited for, and when the time is over it is told as that: no leak.

        An exception that is none of ours, from a plugin or from this code, ends as what is left.

        Raises:
            SpotdeployError: nothing was known, and the cloud cannot be asked.
            RefusedError: a rule of the product forbids it.
        """
        started = time.monotonic()
        limit = asyncio.timeout(self._run.config.timeouts.destroy)
        try:
            async with limit:
                if self._expected:
                    self._expect()
                    await self._require_same_account()
                await self._until_empty()
        except Exception as error:  # whatever it is, what is left must be told
            if self._is_refusal(error):
                raise
            if not limit.expired():
                self._message = self._explain(error)
            elif not self._listings and not self._message:
                self._say(f"no answer within {spell(self._run.config.timeouts.destroy)}")
        proven = self._empty >= PROOFS
        if not proven:
            self._expect(self._things if self._asked_leftovers else None)
        return Receipt(
            destroyed=tuple(self._destroyed.values()),
            proofs=tuple(self._proofs()),
            released=tuple(self._released),
            listings=self._empty if proven else 0,
            seconds=time.monotonic() - started,
            left=() if proven else tuple(self._left()),
            ending=tuple(map(self._ending, self._things)) if proven else (),
        )

    def _is_refusal(self, error: Exception) -> bool:
        """True when the error is a whole answer: nothing was done here, and nothing is known to be
        left, or a rule forbids to ask."""
        if isinstance(error, RefusedError):
            made = any(node.run == self._run.id for node in self._journalled())
            return not (made or self._destroyed)
        ours = isinstance(error, SpotdeployError) and not isinstance(error, BrokenCallError)
        return ours and not self._expected

    def unproven(self, error: SpotdeployError) -> Receipt:
        """The receipt of a location that this error kept from being swept at all."""
        self._message = self._explain(error)
        self._expect()
        return Receipt(left=tuple(self._left()))

    async def _require_same_account(self) -> None:
        """Raises RefusedError for another account. One that cannot be told is asked for again
        until the time is over: in another account a destroy would prove nothing, and end
        what is not ours. Where the journal cannot be read, no account is known."""
        while True:
            try:
                return await self._call(require_same_account(self._run, self._location))
            except HostError as error:
                return self._say(error.message)
            except CredentialsError:
                raise
            except ProviderError as error:
                self._say(f"asking {self._location} whose account it is: {error.message}")
            await asyncio.sleep(self._location.provider.poll_seconds)

    async def _call(self, answer: Awaitable[T]) -> T:
        """What a call of the provider answers. What it raises is one of ours: BrokenCallError
        where the provider, or a library below it, has a bug."""
        try:
            return await answer
        except SpotdeployError:
            raise
        except Exception as error:
            raise BrokenCallError(self._explain(error)) from error

    async def _until_empty(self) -> None:
        provider = self._location.provider
        while True:
            asked_at = time.time()
            done = self._done
            try:
                listed = await self._list(asked_at)
            except CredentialsError:
                raise
            except ProviderError as error:
                self._empty = 0
                await self._end_unlisted()
                await self._outage(error, acted=self._done != done)
                continue
            await self._end(listed)
            released = await self._release(listed)
            if listed or not released or asked_at < self._trusted_from():
                self._empty = 0
                if self._done == done:  # else look at once what it did
                    await asyncio.sleep(provider.poll_seconds)
                continue
            self._empty += 1
            if self._empty >= PROOFS:
                self._close(asked_at)
                if not (self._things and self._wait_for_ending):
                    return
            last = self._empty >= PROOFS or bool(self._things)
            quick = min(provider.poll_seconds, provider.settle_seconds)
            await asyncio.sleep(provider.poll_seconds if last else quick)

    @property
    def _done(self) -> int:
        return len(self._asked) + len(self._released)

    async def _list(self, asked_at: float) -> list[Node]:
        found = await self._call(self._location.nodes(self._run.scope, longest_wait=0.0))
        self._listings += 1
        self._first_listed_at = min(self._first_listed_at, time.time())
        here = [node for node in found if node.state is not NodeState.GONE]
        listed = [node for node in here if self._is_ours(node)]
        self._tell_others(node for node in here if not self._is_ours(node))
        self._note(lambda: self._run.journal.seen(listed, self._run.deployment))
        ids = {node.id for node in listed}
        for id_ in ids & self._destroyed.keys():
            del self._destroyed[id_]  # one listing only lacked it
        self._known |= {node.id: node for node in listed}
        if listed:
            self._expect()
        gone = (self._known.keys() & self._tried) - ids
        if gone and asked_at >= self._trusted_from():
            self._gone([self._known.pop(id_) for id_ in gone])
        return listed

    async def _end_unlisted(self) -> None:
        """End what is known without the listing, which fails: what holds nodes, by its label, and
        the journal's nodes by their ids."""
        if self._only is None:
            await self._release_things()
        await self._end(())

    async def _outage(self, error: ProviderError, *, acted: bool) -> None:
        """Be patient with a cloud that fails to answer only while something of ours is there."""
        if not self._expected:
            raise error
        self._say(f"listing {self._location}: {error.message}")
        asked = (isinstance(error, ThrottledError) and error.retry_after) or 0.0
        pause = self._location.provider.poll_seconds
        await asyncio.sleep(pause if acted else max(pause, asked))

    async def _end(self, listed: Sequence[Node]) -> None:
        """Destroy what is listed, and once what only the journal knows."""
        desired = {node.id for node in listed if node.state is not NodeState.GOING}
        desired |= self._known.keys() - {node.id for node in listed} - self._asked
        self._tried |= self._known.keys()
        try:
            nodes = [node for node in self._known.values() if node.id in desired]
            await self._call(self._location.destroy(nodes))
            self._asked |= desired
        except CredentialsError:
            raise
        except ProviderError as error:
            self._say(f"destroying in {self._location}: {error.message}")

    async def _release(self, listed: Sequence[Node]) -> bool:
        """Release what is left once the nodes are gone. True when the cloud said that there is
        nothing: no answer is no proof."""
        if listed or self._known or self._only is not None:
            return not self._known
        return await self._release_things()

    async def _release_things(self) -> bool:
        self._asked_leftovers = False
        try:
            found = await self._call(self._location.leftovers(self._run.scope))
            self._things = [thing for thing in found if self._is_leftover(thing)]
            self._asked_leftovers = True
            if self._things:
                self._expect(self._things)
            await self._call(self._location.release(self._things))
        except CredentialsError:
            raise
        except ProviderError as error:
            if not self._expected:
                raise
            self._say(f"releasing leftovers in {self._location}: {error.message}")
            return False
        finally:
            self._released += [thing for thing in self._things if thing not in self._released]
        return all(thing.ending for thing in self._things)

    def _expect(self, things: Sequence[Resource] | None = None) -> None:
        """From now on something may be here, and the journal is to know it whatever becomes of this
        process: these things, and where they are not known what was noted before."""
        self._expected = True
        named = [(str(thing), self._by_hand(thing)) for thing in things or ()]
        named = named or (self._unproven if things is None else [])
        named = named or [(self._whatever(), self._by_hand())]
        if self._only is None and named != self._unproven:
            self._unproven = named
            where = (self._run.deployment, *self._location.key)
            noted = [*self._earlier, *named]
            self._note(lambda: self._run.journal.set_unproven(*where, noted))

    def _gone(self, nodes: Sequence[Node]) -> None:
        self._destroyed |= {node.id: node for node in nodes}
        ids = [node.id for node in nodes]
        by = f"absent from listing {self._listings} of {self._location} by {self._label}"
        self._note(lambda: self._run.journal.gone(*self._location.key, ids, by))
        listed = [node for node in nodes if node.size]  # of others the market is not known
        self._note(lambda: self._run.journal.freed(listed, self._run.deployment))
        for node in nodes:
            place, kind, emit = node.location, node.provider, self._run.bus.emit
            emit(NodeDestroyed(node=node.id, name=node.name, provider=kind, location=place))

    @property
    def _label(self) -> str:
        return "".join(f"{key}={value}" for key, value in self._run.scope.items())

    def _close(self, asked_at: float) -> None:
        if self._only is None:
            trusted = asked_at - self._location.provider.settle_seconds
            where = (self._run.deployment, *self._location.key)
            run = self._run.id if self._own else None
            self._note(lambda: self._run.journal.close_intents(*where, trusted, run))
            if self._unproven and not self._things:
                self._note(lambda: self._run.journal.set_unproven(*where, self._earlier))

    def _note(self, write: Callable[[], None]) -> None:
        """Write to the journal. A full disk is told, and keeps no node alive."""
        try:
            write()
        except HostError as error:
            self._say(error.message)

    def _read(self, read: Callable[[str], T]) -> T | None:
        """What the journal has of the deployment; None, and told, when it cannot be read: the
        labels say what is there."""
        try:
            return read(self._run.deployment)
        except HostError as error:
            self._say(error.message)
            return None

    def _trusted_from(self) -> float:
        """Until then (Unix seconds) the cloud may hide what was made, whatever our clock did."""
        settle = self._location.provider.settle_seconds
        hidden = [
            min(node.made_at, self._first_listed_at) + settle
            for node in self._journalled()
            if node.seen_at <= node.made_at  # once it was listed, absence says that it went
        ]
        if self._open_intents():
            hidden.append(self._first_listed_at + settle)
        if self._is_young(young := min(settle, YOUNG)):
            hidden.append(self._first_listed_at + young)
        return max(hidden, default=0.0)

    def _is_young(self, seconds: float) -> bool:
        """True while the journal, lost and begun anew perhaps, is younger than that: it cannot
        know of a create call before it that the cloud still hides. Nor can one with a row that
        makes no sense."""
        began = self._read(self._run.journal.first_run_at)
        if began is None or not self._run.journal.whole:
            return True
        return self._first_listed_at - began < seconds

    def _journalled(self) -> list[JournalNode]:
        return [
            node
            for node in self._read(self._run.journal.nodes) or ()
            if (node.provider, node.location) == self._location.key
            and (self._only is None or node.id in self._only)
            and self._made_by(node.run)
        ]

    def _open_intents(self) -> list[Intent]:
        return [
            intent
            for intent in self._read(self._run.journal.open_intents) or ()
            if (intent.provider, intent.location) == self._location.key
            and self._made_by(intent.run)
        ]

    def _noted_unproven(self) -> list[Unproven]:
        return [
            one
            for one in self._read(self._run.journal.unproven) or ()
            if (one.provider, one.location) == self._location.key and self._only is None
        ]

    def _made_by(self, run: str) -> bool:
        """Whether what this run made is to go."""
        return not self._own or run == self._run.id

    def _is_ours(self, node: Node) -> bool:
        """Whether this node is to go."""
        if self._only is not None:
            return node.id in self._only
        return node.id in self._known or self._made_by(node.labels.get(labels.RUN, ""))

    def _is_leftover(self, thing: Resource) -> bool:
        """Whether this is to go: no claim, which its run gives back or which runs out, and what
        says no run only while no other run's node may need it, as far as a listing has told."""
        if labels.CLAIM in thing.labels:
            return False
        run = thing.labels.get(labels.RUN)
        if run is not None:
            return self._made_by(run)
        return not self._others and (self._listings > 0 or not self._own)

    def _tell_others(self, nodes: Iterable[Node]) -> None:
        """Name, once, the nodes of other runs, which stay."""
        new = [node for node in nodes if node.id not in self._others]
        self._others |= {node.id: node for node in new}
        if new and self._only is None:
            names = ", ".join(f"{node.name} of {node.labels.get(labels.RUN, '?')}" for node in new)
            text = f"nodes of another run stay in {self._location}: {names}"
            self._run.bus.emit(Note(text=text, warning=True))

    def _explain(self, error: Exception) -> str:
        """The error in one line; the trace of one that is none of ours goes to a file."""
        if isinstance(error, SpotdeployError):
            return " ".join(plain(error.message, limit=2000).split())
        return keep_trace(self._run, error, f"destroying in {self._location}")

    def _say(self, message: str) -> None:
        message = plain(message, limit=2000)
        if message != self._message:
            self._message = message
            self._run.bus.emit(Note(text=message, warning=True))

    def _proofs(self) -> list[Proof]:
        return [
            Proof(
                known.id,
                known.name,
                known.provider,
                known.location,
                known.made_at,
                known.seen_at,
                known.gone_at,
                known.gone_by,
            )
            for known in self._read(partial(self._run.journal.nodes, gone=True)) or ()
            if (known.provider, known.location) == self._location.key
            and known.id in self._destroyed
            and known.gone_at is not None
            and known.gone_by is not None
        ]

    def _left(self) -> list[str]:
        """What could not be proven gone, one line each."""
        because = f" ({' '.join(self._message.split())})" if self._message else ""
        left = [(str(node), self._by_hand(node)) for node in self._known.values()]
        left += [pair for pair in self._unproven if pair[0] != self._whatever()]
        if not left or (self._only is None and not self._asked_leftovers):
            left.append((self._whatever(" else" if left else ""), self._by_hand()))
        return [f"{what}{because}; by hand: {by_hand}" for what, by_hand in left]

    def _ending(self, thing: Resource) -> str:
        name, by_hand = self._location.provider.name, self._by_hand(thing)
        return f"{thing}: {name} is still deleting it, its nodes are gone; by hand: {by_hand}"

    def _whatever(self, but: str = "") -> str:
        return f"whatever{but} is in {self._location}"

    def _by_hand(self, thing: Node | Resource | None = None) -> str:
        """How a person ends the thing, or finds what is there. Where the provider fails to say,
        the words that every provider has."""
        provider, scope = self._location.provider, self._run.scope
        try:
            if thing is None:
                return provider.manual_list_command(scope)
            return provider.manual_delete_command(thing)
        except Exception as error:  # noqa: BLE001  # a bug there must not hide what is left
            self._say(self._explain(error))
        if thing is None:
            return Provider.manual_list_command(provider, scope)
        return Provider.manual_delete_command(provider, thing)


def _as_node(record: JournalNode) -> Node:
    return Node(
        id=record.id,
        name=record.name,
        provider=record.provider,
        location=record.location,
        state=NodeState.PENDING,
        created_at=record.made_at,
        cloud_state="known from the journal",
    )
