"""Create: ask for nodes, place after place, until all are there or nothing is left to try."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from spotdeploy import labels
from spotdeploy.duration import spell
from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.events import NodeCreated, Note, OfferTried, StepEnded, StepStarted
from spotdeploy.model import Batch, Created, Node, Offer
from spotdeploy.node.keys import Keys
from spotdeploy.node.user_data import UserData
from spotdeploy.patience import LONGEST_PAUSE
from spotdeploy.phases.account import record_accounts
from spotdeploy.phases.findings import draft
from spotdeploy.phases.placement import Rung, rungs
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import contained
from spotdeploy.run.verdict import Refusal
from spotdeploy.state import ids
from spotdeploy.text import counted, plain

LOST_REPLY_TRIES: Final = 3
FIRST_QUOTA_PAUSE: Final = 0.5
"""Seconds; each further one is twice as long."""
UNEXPLAINED: Final = "the cloud gave fewer and did not say why"


def batch_template(run: Run, pair: Keys) -> Batch:
    """What every create call of a run carries; each fills in its own token and count.

    Raises ConfigError when user-data does not fit within the smallest limit of the providers.
    """
    nodes = run.config.nodes
    limit = min(location.provider.user_data_limit for location in run.locations)
    expires_at = time.time() + nodes.time_to_live  # for the label; the node counts from its boot
    return msgspec.structs.replace(
        draft(run.project),
        token="",
        count=0,
        labels=labels.for_batch(
            run.deployment, run.id, "", run.plan.manifest.digest, expires_at, run.group
        ),
        user_data=UserData(nodes.user, pair, nodes.time_to_live).encode(limit),
    )


async def create(
    run: Run, offers: Mapping[str, Sequence[Offer]], template: Batch
) -> tuple[tuple[Node, ...], tuple[Refusal, ...]]:
    """Create the desired nodes of a group: `nodes.count` in each of its walks, all at once.

    `offers` has each provider's candidates, best first. A shortfall is a result: what refused is
    returned beside the nodes, and what one cloud refuses ends no other one's part.

    Raises ConfigError and HostError for what no cloud is to blame for, and ProviderError when a
    walk has no cloud that says whose account it is.
    """
    what = counted(run.desired, "node")
    run.bus.emit(StepStarted(step="create", detail=what, group=run.group))
    walks = [_Walk(run, await _askable(run, walk, offers), template) for walk in run.walks]
    results = await asyncio.gather(*(walk.run() for walk in walks), return_exceptions=True)
    nodes = tuple(node for walk in walks for node in walk.nodes)
    failed = next((result for result in results if isinstance(result, BaseException)), None)
    detail = str(failed) if failed else f"{len(nodes)} of {what}"
    ok = not failed and len(nodes) >= run.quorum
    run.bus.emit(StepEnded(step="create", ok=ok, detail=detail, group=run.group))
    if failed:
        raise failed
    return nodes, tuple(refusal for walk in walks for refusal in walk.refusals)


async def replace_node(
    run: Run,
    provider: str,
    offers: Mapping[str, Sequence[Offer]],
    template: Batch,
    token_from: int,
) -> tuple[Node, ...]:
    """One node more in the walk of a provider, for one of its nodes that was interrupted; none when
    no place has one."""
    mine = next(walk for walk in run.walks if provider in walk)
    candidates = await _askable(run, mine, offers)
    walk = _Walk(run, candidates, template, desired=1, token_from=token_from)
    await walk.run()
    return tuple(walk.nodes)


async def _askable(
    run: Run, walk: Sequence[str], offers: Mapping[str, Sequence[Offer]]
) -> list[Offer]:
    """The candidates of a walk, without those of clouds that cannot say whose account it is.
    Raises ProviderError when none can."""
    names = [name for name in walk if offers.get(name)]
    untold = await record_accounts(run, names)
    for name, error in untold.items():
        if len(untold) == len(names):
            raise error
        text = f"{run.named}{name} is asked for no nodes: {error.explained}"
        run.bus.emit(Note(text=text, warning=True))
    return [offer for name in names if name not in untold for offer in offers[name]]


class _Walk:
    """A walk through the candidates of one provider, or of several that share what is asked for.

    What is missing is split evenly over the locations of a rung that still have an untried offer,
    and these are asked at the same time; what a location could not give goes to the others in the
    next round. Only then comes the next rung. A refusal takes away the offers that it reaches, and
    no others; one of a quota only when fewer nodes are refused too. What a call may have made that
    was never answered counts as made: nobody is asked for it a second time.
    """

    def __init__(  # private
        self,
        run: Run,
        offers: Iterable[Offer],
        template: Batch,
        *,
        desired: int | None = None,
        token_from: int = 0,
    ) -> None:
        self._run = run
        self._template = template
        self._missing = run.pool.count if desired is None else desired
        self._numbers = itertools.count(token_from)
        self._rungs = list(rungs(run, offers))
        self._quota_pauses: dict[Offer, float] = {}
        self.nodes: list[Node] = []
        self.refusals: list[Refusal] = []

    async def run(self) -> None:
        for rung in self._rungs:
            while self._missing > 0 and (live := self._live(rung)):
                shares = _split(self._missing, live)
                fills = [self._fill(place, rung[place.key], share) for place, share in shares]
                results = await asyncio.gather(*fills, return_exceptions=True)
                for error in results:
                    if error is not None:
                        raise error

    def _live(self, rung: Rung) -> list[Location]:
        return [place for place in self._run.locations if rung.get(place.key)]

    async def _fill(self, location: Location, offers: list[Offer], share: int) -> None:
        """Walk one location's offers until it gave its share. An offer that filled what was
        asked stays for the next round."""
        counts = _fewer_and_fewer(share)
        while share > 0 and offers:
            offer, count = offers[0], counts.pop(0)
            nodes: Sequence[Node] = ()
            made = 0
            try:
                created = await self._ask(location, offer, count)
                nodes, message, reach = created.nodes, created.shortfall, Reach.OFFER
                made = len(nodes)
            except ProviderError as error:
                if isinstance(error, QuotaError):
                    if await self._wait_for_quota(location, offer, count, error):
                        counts.insert(0, count)
                    if counts:
                        continue
                if isinstance(error, LostReplyError):
                    made = count
                message, reach = _message(error), error.reach
            full = len(nodes) == count
            self._note(offer, count if nodes else share, nodes, message or UNEXPLAINED)
            share -= made
            self._missing -= made
            if not full:
                self._drop(offer, reach)
            counts = _fewer_and_fewer(min(share, 2 * count) if full else share)

    async def _wait_for_quota(
        self, location: Location, offer: Offer, count: int, error: QuotaError
    ) -> bool:
        """Pause before the call is made again, when nodes of this market went here a moment ago, as
        many as are asked for: the cloud may still count them. False when it had its time."""
        run, late = self._run, location.provider.quota_seconds
        freed = run.journal.freed_since(run.deployment, offer, time.time() - late)
        if len(freed) < count:
            return False
        if offer not in self._quota_pauses:
            text = f"{offer}: {error.message}; what was destroyed may still count: asking again"
            run.bus.emit(Note(text=f"{text} for {spell(late)} at most"))
        pause = self._quota_pauses.get(offer, FIRST_QUOTA_PAUSE)
        self._quota_pauses[offer] = min(2 * pause, LONGEST_PAUSE)
        await asyncio.sleep(max(0.0, min(pause, freed[-count] + late - time.time())))
        return True

    def _drop(self, refused: Offer, reach: Reach) -> None:
        for offers in itertools.chain(*(rung.values() for rung in self._rungs)):
            offers[:] = [one for one in offers if not one.covered_by(refused, reach)]

    async def _ask(self, location: Location, offer: Offer, count: int) -> Created:
        """Ask for nodes, and keep in the journal that they may exist until it is known.

        Raises ProviderError when there are none, and LostReplyError when none are known of.
        """
        run = self._run
        token = ids.batch_token(run.id, offer.provider, f"{run.series}{next(self._numbers)}")
        batch = msgspec.structs.replace(
            self._template,
            token=token,
            count=count,
            labels={**self._template.labels, labels.BATCH: token},
        )
        run.journal.record_intent(token, run.deployment, run.id, offer, count)
        try:
            created = await self._create(location, offer, batch)
        except LostReplyError:
            raise
        except ProviderError as error:
            if _is_answer(error):
                run.journal.resolve_intent(token, run.deployment, run.id)
            else:  # the provider may have made something else before
                run.journal.made_no_node(token)
            raise
        run.journal.resolve_intent(token, run.deployment, run.id, created.nodes)
        return created

    async def _create(self, location: Location, offer: Offer, batch: Batch) -> Created:
        """Call, and after a lost reply call again with the same token: that never makes a second
        set. When no answer comes that says what was made, the listing by the batch's label decides;
        so it does when the repeated call is refused for another reason than that nothing is left,
        which the first one need not have been.

        Raises LostReplyError when that cannot be had, or when nodes may still appear in it.
        """
        doing = f"creating {offer}"
        lost: list[ProviderError] = []
        while len(lost) < LOST_REPLY_TRIES:
            try:
                return await contained(self._run, location.create(offer, batch), doing)
            except LostReplyError as error:
                lost.append(error)
                self._run.bus.emit(
                    Note(text=f"{offer}: no answer to create ({error.message}); asking again")
                )
            except ProviderError as error:
                full = isinstance(error, CapacityError | QuotaError)
                if _is_answer(error) and (full or not lost):
                    raise
                return await self._find(location, batch, lost[0] if lost else error)
        return await self._find(location, batch, lost[0])

    async def _find(self, location: Location, batch: Batch, unclear: ProviderError) -> Created:
        """What a call made that ended unclear."""
        await asyncio.sleep(location.provider.settle_seconds)
        scope = {**self._run.scope, labels.BATCH: batch.token}
        try:
            found = await contained(self._run, location.nodes(scope), f"listing {location}")
        except ProviderError as error:
            message = f"{_message(unclear)}; what came of it cannot be listed: {error.message}"
            raise LostReplyError(message) from unclear
        if found:
            return Created(tuple(found), f"the answer was lost: {unclear.message}")
        raise unclear

    def _note(self, offer: Offer, asked: int, nodes: Sequence[Node], message: str) -> None:
        self.nodes += nodes
        got = len(nodes)
        refusal = message if got < asked else ""
        if refusal:
            self.refusals.append(Refusal(str(offer), asked, got, message, self._run.group))
        emit = self._run.bus.emit
        emit(
            OfferTried(
                provider=offer.provider,
                location=offer.location,
                zone=offer.zone,
                size=offer.size,
                market=offer.market,
                asked=asked,
                got=got,
                refusal=refusal,
                group=self._run.group,
            )
        )
        for node in nodes:
            emit(
                NodeCreated(
                    node=node.id,
                    name=node.name,
                    provider=node.provider,
                    location=node.location,
                    zone=node.zone,
                    size=node.size,
                    market=node.market,
                    usd_per_hour=offer.usd_per_hour,
                    group=self._run.group,
                )
            )


def _is_answer(error: ProviderError) -> bool:
    """Whether a refusal says that nothing was made. One without a code is an answer that we did not
    understand, or a bug in a plugin; others may come in the middle of several calls."""
    unclear = isinstance(error, CredentialsError | LostReplyError | ThrottledError)
    return error.code is not None and not unclear


def _split(count: int, places: Sequence[Location]) -> Iterator[tuple[Location, int]]:
    base, extra = divmod(count, len(places))
    for index, place in enumerate(places):
        share = base + (index < extra)
        if share:
            yield place, share


def _fewer_and_fewer(count: int) -> list[int]:
    """How many to ask for, one after the other while a quota refuses: all, half of them, one."""
    return list(dict.fromkeys((count, max(count // 2, 1), 1)))


def _message(error: ProviderError) -> str:
    told = error.code is None or error.code in error.message
    return plain(error.explained if told else f"{error.code}: {error.explained}", limit=2000)
