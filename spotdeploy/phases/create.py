"""Create: ask for nodes, place after place, until there are enough or nothing is left to try."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.errors import CapacityError, LostReplyError, ProviderError, QuotaError
from spotdeploy.events import NodeCreated, Note, OfferTried, StepEnded, StepStarted
from spotdeploy.labels import BATCH
from spotdeploy.model import Batch, Created, Market, Node, Offer
from spotdeploy.phases.account import record_accounts
from spotdeploy.run.context import Session, new_batch
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import Refusal
from spotdeploy.state import ids
from spotdeploy.text import counted, plain

LOST_REPLY_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """A node and the location that holds it."""

    node: Node
    location: Location


@dataclass(frozen=True, slots=True)
class Creation:
    """What came of asking."""

    placed: tuple[Placed, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What every create call of a run carries."""

    user_data: bytes
    digest: str
    expires_at: float
    """Unix time in seconds, for the label; the node counts from its own boot."""


async def create(session: Session, offers: dict[str, list[Offer]], request: Request) -> Creation:
    """Create the wanted nodes of every provider, all providers at once.

    `offers` has each provider's candidates, best first. A shortfall is a result.

    Raises:
        ProviderError: a cloud refused in a way that no other place can mend.
    """
    session.bus.emit(StepStarted(step="create", detail=counted(session.desired, "node")))
    await record_accounts(session)
    walks = [_Walk(session, name, offers[name], request) for name in session.providers]
    results = await asyncio.gather(*(walk.run() for walk in walks), return_exceptions=True)
    creation = Creation(
        placed=tuple(placed for walk in walks for placed in walk.placed),
        refusals=tuple(refusal for walk in walks for refusal in walk.refusals),
    )
    got = len(creation.placed)
    failed = [result for result in results if isinstance(result, BaseException)]
    session.bus.emit(
        StepEnded(
            step="create",
            ok=not failed and got >= session.quorum,
            detail=str(failed[0]) if failed else f"{got} of {session.desired} nodes",
        )
    )
    if failed:
        raise failed[0]
    return creation


async def replace_node(
    session: Session, provider: str, offers: Sequence[Offer], request: Request, token_from: int
) -> Creation:
    """One node more of a provider, for one that was interrupted."""
    walk = _Walk(session, provider, offers, request, desired=1, token_from=token_from)
    await walk.run()
    return Creation(tuple(walk.placed), tuple(walk.refusals))


class _Walk:
    """The walk of one provider through its offers.

    Within one market, what is missing is split evenly over the locations that still have an
    untried offer, and these are asked at the same time; what a location could not give goes to
    the others in the next round. Only then comes the next market.
    """

    def __init__(  # private
        self,
        session: Session,
        provider: str,
        offers: Sequence[Offer],
        request: Request,
        *,
        desired: int | None = None,
        token_from: int = 0,
    ) -> None:
        self._session = session
        self._provider = provider
        self._request = request
        self._desired = session.pool.count if desired is None else desired
        self._numbers = itertools.count(token_from)
        self._untried: dict[tuple[Market, str], list[Offer]] = {}
        for offer in offers:
            self._untried.setdefault((offer.market, offer.location), []).append(offer)
        self.placed: list[Placed] = []
        self.refusals: list[Refusal] = []

    @property
    def _missing(self) -> int:
        return self._desired - len(self.placed)

    async def run(self) -> None:
        for market in self._session.pool.policy.markets:
            while self._missing > 0 and (live := self._live(market)):
                shares = _split(self._missing, live)
                fills = [self._fill(market, location, share) for location, share in shares]
                results = await asyncio.gather(*fills, return_exceptions=True)
                for error in results:
                    if error is not None:
                        raise error

    def _live(self, market: Market) -> list[Location]:
        places = self._session.of_provider(self._provider)
        return [place for place in places if self._untried.get((market, place.name))]

    async def _fill(self, market: Market, location: Location, share: int) -> None:
        """Walk one location's offers until it gave its share. An offer that filled what was
        asked stays for the next round."""
        offers = self._untried[market, location.name]
        while share > 0 and offers:
            offer = offers[0]
            created, message, give_up = await self._ask(location, offer, share)
            self._note(location, offer, share, created, message)
            share -= len(created)
            if give_up:
                offers.clear()
            elif share > 0:
                offers.pop(0)

    async def _ask(
        self, location: Location, offer: Offer, count: int
    ) -> tuple[Sequence[Node], str, bool]:
        """The nodes, why not more, and whether the whole location is to be given up."""
        session = self._session
        token = ids.batch_token(session.run, self._provider, next(self._numbers))
        request = self._request
        batch = new_batch(
            session, token, count, request.user_data, request.digest, request.expires_at
        )
        session.journal.record_intent(token, session.deployment, session.run, offer, count)
        try:
            created = await self._create(location, offer, batch)
        except QuotaError as error:
            session.journal.settle(token, session.deployment, session.run)
            return (), _message(error), True
        except CapacityError as error:
            session.journal.settle(token, session.deployment, session.run)
            return (), _message(error), False
        session.journal.settle(token, session.deployment, session.run, created.nodes)
        return created.nodes, created.shortfall or "", False

    async def _create(self, location: Location, offer: Offer, batch: Batch) -> Created:
        """Call, and after a lost reply call again with the same token: that never makes a second
        set. When no answer ever comes, the listing by the batch's label decides."""
        for _ in range(LOST_REPLY_TRIES):
            try:
                return await location.create(offer, batch)
            except LostReplyError as error:
                lost = error
                self._session.bus.emit(
                    Note(text=f"{offer}: no answer to create ({error.message}); asking again")
                )
        await asyncio.sleep(location.provider.settle_seconds)
        found = await location.nodes({**self._session.scope, BATCH: batch.token})
        if found:
            return Created(tuple(found), f"the answer was lost: {lost.message}")
        raise lost

    def _note(
        self, location: Location, offer: Offer, asked: int, nodes: Sequence[Node], message: str
    ) -> None:
        self.placed += [Placed(node, location) for node in nodes]
        got = len(nodes)
        if got < asked:
            message = message or "the cloud gave fewer and did not say why"
            self.refusals.append(Refusal(str(offer), asked, got, message))
        emit = self._session.bus.emit
        emit(
            OfferTried(
                provider=offer.provider,
                location=offer.location,
                zone=offer.zone,
                size=offer.size,
                market=offer.market,
                asked=asked,
                got=got,
                refusal=message,
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
                )
            )


def expiry(time_to_live: float) -> float:
    """When nodes created now end themselves at the latest (Unix seconds)."""
    return time.time() + time_to_live


def _split(count: int, places: Sequence[Location]) -> Iterator[tuple[Location, int]]:
    base, extra = divmod(count, len(places))
    for index, place in enumerate(places):
        share = base + (index < extra)
        if share:
            yield place, share


def _message(error: ProviderError) -> str:
    output = error.code is None or error.code in error.message
    return plain(error.message if output else f"{error.code}: {error.message}", limit=2000)
