"""Create: ask for nodes, place after place, until all are there or nothing is left to try."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from spotdeploy import labels
from spotdeploy.duration import spell
from spotdeploy.errors import (
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    Reach,
    SpotdeployError,
    ThrottledError,
)
from spotdeploy.events import NodeCreated, Note, OfferTried, StepEnded, StepStarted
from spotdeploy.model import Batch, Created, Market, Node, Offer
from spotdeploy.node.keys import Keys
from spotdeploy.node.user_data import UserData
from spotdeploy.patience import LONGEST_PAUSE
from spotdeploy.phases.account import record_accounts
from spotdeploy.phases.findings import draft
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import keep_trace
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
    """Create the desired nodes of every provider, all providers at once.

    `offers` has each provider's candidates, best first. A shortfall is a result: what refused is
    returned beside the nodes, and what one cloud refuses ends no other one's walk.

    Raises ConfigError and HostError for what no cloud is to blame for.
    """
    what = counted(run.desired, "node")
    run.bus.emit(StepStarted(step="create", detail=what, group=run.group))
    await record_accounts(run)
    walks = [_Walk(run, name, offers[name], template) for name in run.providers]
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
    run: Run, provider: str, offers: Sequence[Offer], template: Batch, token_from: int
) -> tuple[Node, ...]:
    """One node more of a provider, for one that was interrupted; none when no place has one."""
    walk = _Walk(run, provider, offers, template, desired=1, token_from=token_from)
    await walk.run()
    return tuple(walk.nodes)


class _Walk:
    """The walk of one provider through its offers.

    Within one market, what is missing is split evenly over the locations that still have an
    untried offer, and these are asked at the same time; what a location could not give goes to
    the others in the next round. Only then comes the next market. A refusal takes away the offers
    that it reaches, and no others; one of a quota only when fewer nodes are refused too.
    """

    def __init__(  # private
        self,
        run: Run,
        provider: str,
        offers: Sequence[Offer],
        template: Batch,
        *,
        desired: int | None = None,
        token_from: int = 0,
    ) -> None:
        self._run = run
        self._provider = provider
        self._template = template
        self._desired = run.pool.count if desired is None else desired
        self._numbers = itertools.count(token_from)
        self._untried: dict[tuple[Market, str], list[Offer]] = {}
        for offer in offers:
            self._untried.setdefault((offer.market, offer.location), []).append(offer)
        self._quota_pauses: dict[Offer, float] = {}
        self.nodes: list[Node] = []
        self.refusals: list[Refusal] = []

    @property
    def _missing(self) -> int:
        return self._desired - len(self.nodes)

    async def run(self) -> None:
        for market in self._run.pool.policy.markets:
            while self._missing > 0 and (live := self._live(market)):
                shares = _split(self._missing, live)
                fills = [self._fill(market, location, share) for location, share in shares]
                results = await asyncio.gather(*fills, return_exceptions=True)
                for error in results:
                    if error is not None:
                        raise error

    def _live(self, market: Market) -> list[Location]:
        places = self._run.of_provider(self._provider)
        return [place for place in places if self._untried.get((market, place.name))]

    async def _fill(self, market: Market, location: Location, share: int) -> None:
        """Walk one location's offers until it gave its share. An offer that filled what was
        asked stays for the next round."""
        offers = self._untried[market, location.name]
        counts = _fewer_and_fewer(share)
        while share > 0 and offers:
            offer, count = offers[0], counts.pop(0)
            nodes: Sequence[Node] = ()
            try:
                created = await self._ask(location, offer, count)
                nodes, message, reach = created.nodes, created.shortfall, Reach.OFFER
            except ProviderError as error:
                if isinstance(error, QuotaError):
                    if await self._wait_for_quota(location, offer, count, error):
                        counts.insert(0, count)
                    if counts:
                        continue
                message, reach = _message(error), error.reach
            except SpotdeployError:
                raise
            except Exception as error:  # noqa: BLE001  # of a plugin: the other clouds go on
                message, reach = keep_trace(self._run, error, f"creating {offer}"), Reach.PROVIDER
            full = len(nodes) == count
            self._note(offer, count if nodes else share, nodes, message or UNEXPLAINED)
            share -= len(nodes)
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
        for offers in self._untried.values():
            offers[:] = [one for one in offers if not one.covered_by(refused, reach)]

    async def _ask(self, location: Location, offer: Offer, count: int) -> Created:
        """Ask for nodes, and keep in the journal that they may exist until it is known.

        Raises ProviderError when there are none, or none are known of.
        """
        run = self._run
        token = ids.batch_token(run.id, self._provider, f"{run.series}{next(self._numbers)}")
        batch = msgspec.structs.replace(
            self._template,
            token=token,
            count=count,
            labels={**self._template.labels, labels.BATCH: token},
        )
        run.journal.record_intent(token, run.deployment, run.id, offer, count)
        try:
            created = await self._create(location, offer, batch)
        except (CredentialsError, LostReplyError, ThrottledError):
            raise  # the provider may have made something else before, and cannot be asked now
        except ProviderError as error:
            if error.code is not None:  # else we did not understand the answer
                run.journal.resolve_intent(token, run.deployment, run.id)
            raise
        run.journal.resolve_intent(token, run.deployment, run.id, created.nodes)
        return created

    async def _create(self, location: Location, offer: Offer, batch: Batch) -> Created:
        """Call, and after a lost reply call again with the same token: that never makes a second
        set. When no answer ever comes, the listing by the batch's label decides."""
        for _ in range(LOST_REPLY_TRIES):
            try:
                return await location.create(offer, batch)
            except LostReplyError as error:
                lost = error
                self._run.bus.emit(
                    Note(text=f"{offer}: no answer to create ({error.message}); asking again")
                )
        await asyncio.sleep(location.provider.settle_seconds)
        found = await location.nodes({**self._run.scope, labels.BATCH: batch.token})
        if found:
            return Created(tuple(found), f"the answer was lost: {lost.message}")
        raise lost

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
