"""The looks of a live test: each asks the cloud for one promise of the contract.

They are few, since each costs time on a real account, and none needs power over the cloud: what
only a lab can make happen is left to the contract tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from spotdeploy import labels
from spotdeploy.errors import ProviderError, RefusedError, SpotdeployError, UnreachableError
from spotdeploy.live.findings import Answer, Promise, Refused, Timing, refused
from spotdeploy.model import Batch, FateKind, Manifest, Node, NodeState, Offer, Pool, Resource
from spotdeploy.node.connection import Dialer, NodeConnection, connect_until
from spotdeploy.node.keys import Keys
from spotdeploy.phases.create import create
from spotdeploy.provider import (
    SupportsAccount,
    SupportsAllLocations,
    SupportsClaims,
    SupportsConsole,
    SupportsInterruptionNotice,
    within_price,
)
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location, list_nodes
from spotdeploy.run.trace import keep_trace
from spotdeploy.state.ids import batch_token

PAUSE: Final = 1.0
"""Seconds between two listings: how exactly times are known."""
NOWHERE: Final = "-nowhere"
"""Behind a zone's name, so that there is none of that name."""
KEPT_USER_DATA: Final = (
    "cat /var/lib/cloud/instance/user-data.txt 2>/dev/null || cat /var/lib/spotdeploy/user-data"
)
"""Where cloud-init and local machines keep it."""
Look = Callable[[], Awaitable[str]]
"""Looks, and gives what it saw in a few words."""


class BrokenError(Exception):
    """A promise is not kept."""


class NotShownError(Exception):
    """A promise cannot be looked at here."""


class Looks:
    """All looks at one location, in their order, with what they share."""

    def __init__(
        self,
        run: Run,
        offers: Sequence[Offer],
        template: Batch,
        keys: Keys,
        tell: Callable[[Promise], None],
    ) -> None:
        """`offers` are those that may be taken, first choice first. `tell` hears of each promise
        as soon as it was looked at."""
        self._run = run
        self._location: Location = run.locations[0]
        self._provider = self._location.provider
        self._offers = offers
        self._template = template
        self._keys = keys
        self._tell = tell
        self._node: Node | None = None
        self._made_at = 0.0
        self.promises: list[Promise] = []
        self.timings: list[Timing] = []
        self.refusals: list[Refused] = []
        self.names = {run.deployment: "<deployment>", run.id: "<run>"}
        """What names the account and what was made in it, and what to call it."""
        self.offer = offers[0]
        """The one that was taken."""

    async def look(self) -> None:
        """Look at everything. Raises SpotdeployError for what no cloud is to blame for."""
        for text, look in self._looks():
            answer, detail = Answer.KEPT, ""
            try:
                detail = await look()
            except NotShownError as why:
                answer, detail = Answer.NOT_SHOWN, str(why)
            except BrokenError as what:
                answer, detail = Answer.BROKEN, str(what)
            except ProviderError as error:
                answer, detail = Answer.BROKEN, error.explained
            except SpotdeployError:
                raise
            except Exception as error:  # noqa: BLE001  # of a plugin: that is what was to be found
                answer, detail = Answer.BROKEN, keep_trace(self._run, error, text)
            self.promises.append(Promise(text, answer, detail))
            self._tell(self.promises[-1])

    def _looks(self) -> Sequence[tuple[str, Look]]:
        return (
            ("account() tells whose account it is", self._account),
            ("a listing by no labels names nothing", self._empty_labels),
            ("an empty list calls nothing and ends nothing", self._empty_lists),
            ("a new deployment has nothing", self._nothing),
            ("a claim is made once, listed and released", self._claim),
            ("a create in a zone that does not exist is refused whole", self._refusal),
            ("create() makes one node with all labels on it", self._create),
            ("the same token makes no second node", self._same_token),
            ("the node is listed by each label, and by no other's", self._listed),
            ("another object, as of another process, lists it too", self._listed_elsewhere),
            ("it runs and has an address", self._running),
            ("fate() says that it is alive", self._alive),
            ("all_locations() has the location where the node is", self._all_locations),
            ("the node ran its user-data and answers by ssh", self._ssh),
            ("user-data of the size that is promised arrived as it was sent", self._user_data),
            ("no interruption is read on a node that is not interrupted", self._notice),
            ("console() can be asked", self._console),
            ("destroy() ends it, and may be repeated", self._destroy),
            ("fate() says that it is not alive any more", self._not_alive),
            ("what it leaves behind is listed and released", self._leftovers),
        )

    async def _account(self) -> str:
        if not isinstance(self._provider, SupportsAccount):
            raise NotShownError("the provider has no accounts")
        first = await self._location.account()
        self.names[first] = "<account>"
        if not first or first != await self._location.account():
            raise BrokenError("it is empty, or not the same twice")
        return ""

    async def _empty_labels(self) -> str:
        try:
            named = await self._location.leftovers({})
        except ValueError:
            named = ()
        if named:
            raise BrokenError(f"leftovers({{}}) named {len(named)} things")
        try:
            await self._location.nodes({})
        except ValueError:
            return ""
        raise BrokenError("nodes({}) answered")

    async def _empty_lists(self) -> str:
        await self._location.call(self._provider.destroy, ())
        await self._location.call(self._provider.release, ())
        return ""

    async def _nothing(self) -> str:
        found = [*await self._nodes(), *await self._location.leftovers(self._run.scope)]
        if found:
            raise BrokenError(f"it has {', '.join(map(str, found))}")
        return ""

    async def _claim(self) -> str:
        if not isinstance(self._provider, SupportsClaims):
            raise NotShownError("the provider has no claims")
        ends = labels.expires_at(self._template.labels) or time.time()
        ours, theirs = (
            labels.for_claim(self._run.deployment, run, "live", "live", "live", ends)
            for run in (self._run.id, f"{self._run.id}-2")
        )
        made = await self._location.claim(ours)
        again = await self._location.claim(theirs)
        if made is None or again is None or dict(again.labels) != ours:
            raise BrokenError("a second one was given, or the first has other labels")
        await self._within(
            "a claim is listed",
            lambda: self._claims_are(listed=True),
            self._provider.settle_seconds,
        )
        await self._location.release([made])
        await self._within(
            "a claim is gone after its release",
            lambda: self._claims_are(listed=False),
            self._run.config.timeouts.destroy,
        )
        return ""

    async def _claims_are(self, *, listed: bool) -> bool:
        found = await self._location.leftovers(self._run.scope)
        return any(labels.CLAIM in thing.labels for thing in found) == listed

    async def _refusal(self) -> str:
        """A zone that does not exist, of a size whose price is known: should the cloud take it
        after all, it costs no more than the node that is made anyway."""
        if self.offer.zone is None:
            raise NotShownError("the provider names no zones")
        what = msgspec.structs.replace(self.offer, zone=self.offer.zone + NOWHERE)
        token = batch_token(self._run.id, self._provider.name, 999)
        journal = self._run.journal
        journal.record_intent(token, self._run.deployment, self._run.id, what, 1)
        try:
            created = await self._location.create(what, self._batch(token))
        except ProviderError as error:
            if error.code is not None:
                journal.resolve_intent(token, self._run.deployment, self._run.id)
            self.refusals.append(refused("create in a zone that does not exist", error))
        else:
            journal.resolve_intent(token, self._run.deployment, self._run.id, created.nodes)
            await self._location.destroy(created.nodes)
            raise BrokenError("it was accepted")
        if found := await self._nodes():
            raise BrokenError(f"it was refused, and made {', '.join(map(str, found))}")
        return _error_name(self.refusals[-1])

    async def _create(self) -> str:
        started = time.monotonic()
        name = self._provider.name
        nodes, refusals = await create(self._run, {name: self._offers}, self._template)
        self._made_at = time.monotonic()
        if len(nodes) != 1:
            why = "; ".join(f"{one.offer}: {one.message}" for one in refusals)
            raise BrokenError(f"{len(nodes)} nodes{f': {why}' if why else ''}")
        self._node = nodes[0]
        self._note(self._node)
        self.timings.append(Timing("a create call is answered", self._made_at - started))
        taken = (self._node.zone, self._node.size, self._node.market)
        self.offer = next(
            (one for one in self._offers if (one.zone, one.size, one.market) == taken), self.offer
        )
        desired = {**self._template.labels, labels.BATCH: self._token}
        if lacking := desired.items() - dict(self._node.labels).items():
            raise BrokenError(f"it lacks {', '.join(f'{k}={v}' for k, v in sorted(lacking))}")
        return str(self.offer)

    async def _same_token(self) -> str:
        made = self._made()
        again = await self._location.create(self.offer, self._batch(self._token))
        if {node.id for node in again.nodes} != {made.id}:
            raise BrokenError(f"it gave {', '.join(node.id for node in again.nodes) or 'none'}")
        return ""

    async def _listed(self) -> str:
        made = self._made()
        await self._within(
            "a new node is listed", self._is_listed, self._provider.settle_seconds, self._made_at
        )
        own = dict((await self._sight()).labels)
        for key in (labels.DEPLOYMENT, labels.RUN, labels.BATCH):
            for value in (own.get(key, ""), labels.ANY):
                found = await self._location.nodes({**self._run.scope, key: value})
                if made.id not in {node.id for node in found}:
                    raise BrokenError(f"it is not listed by {key}={value}")
            others = await self._location.nodes({**self._run.scope, key: "nobodys"})
            if others:
                raise BrokenError(f"it is listed by {key}=nobodys")
        return ""

    async def _listed_elsewhere(self) -> str:
        made = self._made()
        other = Location(
            self._run.project.open_provider(self._provider.name, self._location.name),
            self._location.name,
        )
        try:
            found = await other.nodes(self._run.scope)
        finally:
            other.close()
        if made.id not in {node.id for node in found}:
            raise BrokenError("it is missing there")
        return ""

    async def _running(self) -> str:
        self._made()
        await self._within(
            "a new node runs and has an address",
            self._runs,
            self._run.config.timeouts.boot,
            self._made_at,
        )
        self._node = await self._sight()
        return f"the cloud calls it {self._node.cloud_state or self._node.state}"

    async def _alive(self) -> str:
        fate = await self._location.fate(self._made())
        if fate.kind is not FateKind.ALIVE:
            raise BrokenError(f"it says {fate.kind}: {fate.message}")
        return fate.message

    async def _all_locations(self) -> str:
        if not isinstance(self._provider, SupportsAllLocations):
            raise NotShownError("the provider does not list locations")
        self._made()
        found = await self._location.call(self._provider.all_locations)
        if self._location.name not in found:
            raise BrokenError(f"{self._location.name} is none of {len(found)}")
        return f"{len(found)} locations"

    async def _ssh(self) -> str:
        connection = self._connection()
        try:
            await connect_until(connection, self._run.config.timeouts.boot)
        except UnreachableError as error:
            raise BrokenError(error.message) from error
        finally:
            await connection.close()
        self.timings.append(
            Timing(
                "a new node answers by ssh",
                time.monotonic() - self._made_at,
                self._run.config.timeouts.boot,
            )
        )
        return ""

    async def _user_data(self) -> str:
        said = await self._on_node("sh", "-c", f"({KEPT_USER_DATA}) | sha256sum")
        arrived = said.partition(" ")[0]
        sent = hashlib.sha256(self._template.user_data).hexdigest()
        if arrived == hashlib.sha256(b"").hexdigest():
            raise NotShownError("the image keeps no copy of it")
        if arrived != sent:
            raise BrokenError(f"{len(self._template.user_data)} bytes were sent, others arrived")
        return f"{len(self._template.user_data)} bytes"

    async def _notice(self) -> str:
        provider = self._provider
        if not isinstance(provider, SupportsInterruptionNotice):
            raise NotShownError("the provider has no notices")
        started = time.monotonic()
        said = await self._on_node(*provider.notice_command())
        self.timings.append(Timing("a node is asked for a notice", time.monotonic() - started))
        if fate := provider.notice(said):
            raise BrokenError(f"it says {fate.kind}: {fate.message}")
        return ""

    async def _console(self) -> str:
        if not isinstance(self._provider, SupportsConsole):
            raise NotShownError("the provider has no console")
        return f"{len(await self._location.console(self._made()))} characters"

    async def _destroy(self) -> str:
        made = self._made()
        started = time.monotonic()
        await self._location.destroy([made])
        await self._location.destroy([made])
        limit = self._run.config.timeouts.destroy
        await self._within("a destroyed node is gone", self._is_gone, limit, started)
        await self._location.destroy([made])
        return ""

    async def _not_alive(self) -> str:
        made = self._made()
        if await self._is_listed():
            raise NotShownError("it is still listed")
        fate = await self._location.fate(made)
        if fate.kind is FateKind.ALIVE:
            raise BrokenError(f"it says {fate.kind}: {fate.message}")
        return f"{fate.kind}: {fate.message}" if fate.message else fate.kind

    async def _leftovers(self) -> str:
        self._made()
        found: dict[str, Resource] = {}

        async def none_left() -> bool:
            things = await self._location.leftovers(self._run.scope)
            found.update({str(thing): thing for thing in things})
            await self._location.release([one for one in things if not one.ending])
            return not things

        limit = self._run.config.timeouts.destroy
        await self._within("what a node leaves behind is gone", none_left, limit)
        kinds = sorted({thing.kind for thing in found.values()})
        return ", ".join(kinds) or "nothing was left"

    @property
    def _token(self) -> str:
        return batch_token(self._run.id, self._provider.name, 0)

    def _batch(self, token: str) -> Batch:
        """What the first create call of the run carried, with this token."""
        return msgspec.structs.replace(
            self._template,
            token=token,
            count=1,
            labels={**self._template.labels, labels.BATCH: token},
        )

    def _made(self) -> Node:
        if self._node is None:
            raise NotShownError("there is no node")
        return self._node

    def _note(self, node: Node) -> None:
        """Keep what names the node."""
        addresses = (node.address, node.private_address)
        self.names |= {one: "<address>" for one in addresses if one}
        self.names |= {node.id: "<node>", node.name: "<node>"}

    async def _nodes(self) -> list[Node]:
        return await list_nodes([self._location], self._run.scope)

    async def _sight(self) -> Node:
        """The node as it is listed now. Raises BrokenError when it is not."""
        made = self._made()
        for node in await self._nodes():
            if node.id == made.id:
                self._note(node)
                return node
        raise BrokenError("it is not listed any more")

    async def _is_listed(self) -> bool:
        return self._made().id in {node.id for node in await self._nodes()}

    async def _is_gone(self) -> bool:
        return not await self._is_listed()

    async def _runs(self) -> bool:
        node = await self._sight()
        return node.state is NodeState.RUNNING and node.address is not None

    async def _within(
        self,
        what: str,
        true: Callable[[], Awaitable[bool]],
        expected: float,
        since: float | None = None,
    ) -> None:
        """Wait until it is true, for as long as a destroy may take, and keep how long it took.

        Raises BrokenError when it never was, or was not when the cloud was asked after `expected`
        seconds.
        """
        since = time.monotonic() if since is None else since
        deadline = max(expected, self._run.config.timeouts.destroy)
        late = False
        while True:
            asked_after = time.monotonic() - since
            if await true():
                break
            late |= asked_after > expected
            if asked_after > deadline:
                raise BrokenError(f"it took more than {deadline:.0f}s until {what}")
            await asyncio.sleep(PAUSE)
        seconds = time.monotonic() - since
        self.timings.append(Timing(what, seconds, expected))
        if late:
            raise BrokenError(f"{what} after {seconds:.0f}s; {expected:.0f}s are promised")

    def _connection(self) -> NodeConnection:
        user = self._run.config.nodes.user
        login, host = self._keys.login.load(), self._keys.bootstrap_host.public
        dialer = Dialer(self._provider)
        return NodeConnection(self._made(), dialer, user, login, host, Manifest(()))

    async def _on_node(self, *command: str) -> str:
        """What a command on the node prints. Raises NotShownError when the node does not answer."""
        connection = self._connection()
        try:
            await connection.connect()
            result = await connection.run(command)
        except UnreachableError as error:
            raise NotShownError(f"the node does not answer: {error.message}") from error
        finally:
            await connection.close()
        if result.exit_code:
            raise BrokenError(f"{command[0]} exited with {result.exit_code}: {result.stderr[:200]}")
        return result.stdout


def _error_name(one: Refused) -> str:
    """A refusal in a few words."""
    return f"{one.error} {one.code}".strip()


def require_offers(offers: Sequence[Offer], pool: Pool, provider: str) -> list[Offer]:
    """The offers of known price within the pool's limit, the cheapest first.

    Raises RefusedError when there is none.
    """
    known = within_price(offers, pool)
    if not known:
        raise RefusedError(
            f"{provider} has no offer whose price is known to be {pool.max_usd_per_hour:.4g} USD "
            "per hour or less",
            hint="allow a higher --max-cost or cheaper sizes; no unknown price is below a cap",
        )
    return sorted(known, key=lambda one: one.usd_per_hour or 0.0)
