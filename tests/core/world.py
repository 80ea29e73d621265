"""A fake cloud and a session that uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spotdeploy.config.schema import Config, Nodes, Settings, Timeouts
from spotdeploy.duration import Duration
from spotdeploy.events import Bus, Event
from spotdeploy.model import MarketPolicy, Offer
from spotdeploy.phases.create import Creation, Request, create
from spotdeploy.phases.destroy import destroy
from spotdeploy.run.context import Session
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import Receipt
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.faults import AnyFault
from spotdeploy.testing.fake.provider import FakeProvider


class _Ears:
    def __init__(self) -> None:
        self.received: list[Event] = []

    def on(self, event: Event) -> None:
        self.received.append(event)


class World:
    """Everything one test of a phase needs."""

    def __init__(
        self, folder: Path, *, count: int = 3, locations: Sequence[str] = ("here",),
        faults: Sequence[AnyFault] = (), settle: float = 0.0, patience: str = "10s",
        policy: MarketPolicy = MarketPolicy.SPOT, quorum: int | None = None,
    ) -> None:  # fmt: skip
        self.cloud = FakeCloud(script=faults)
        self.config = FakeConfig(locations=tuple(locations), settle=settle)
        self.ears = _Ears()
        self.folder = folder
        self.settings = Settings(
            config=Config(
                deployment="demo",
                nodes=Nodes(count=count, market=policy, quorum=quorum),
                timeouts=Timeouts(destroy=Duration(patience)),
            ),
            path=folder / "spotdeploy.toml",
        )
        self.session = self.new_session("run-1")

    def new_session(self, run: str) -> Session:
        """A session such as the next process would have."""
        places = tuple(
            Location(FakeProvider(self.config, place, self.cloud), place)
            for place in self.config.locations
        )
        journal = Journal(self.folder / "journal.db")
        return Session(self.settings, run, ("fake",), places, journal, Bus(self.ears))

    @property
    def offers(self) -> dict[str, list[Offer]]:
        """The candidates, as the plan phase collects them."""
        pool = self.session.pool
        places = self.session.locations
        return {"fake": [o for place in places for o in place.provider.offers(pool)]}

    async def create(self) -> Creation:
        """Create what is wanted."""
        return await create(self.session, self.offers, Request(b"", "digest", 9e9))

    async def destroy(self) -> Receipt:
        """Destroy everything, as another process would."""
        session = self.new_session("run-2")
        try:
            return await destroy(session)
        finally:
            session.close()

    def existing(self) -> int:
        """How many billed things exist or are to appear, asked of the cloud itself."""
        return len(self.cloud.billed())

    def machines(self) -> int:
        """How many machines exist or are to appear, asked of the cloud itself."""
        return len([id_ for id_ in self.cloud.billed() if id_.startswith("m-")])
