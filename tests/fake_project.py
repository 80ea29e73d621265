"""A fake cloud and a run that uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from spotdeploy.config.schema import Config, Keep, Nodes, Settings, Timeouts
from spotdeploy.duration import Duration
from spotdeploy.events import Bus, Event
from spotdeploy.labels import for_batch
from spotdeploy.model import Batch, MarketPolicy, Node, Offer
from spotdeploy.phases.create import create
from spotdeploy.phases.destroy import destroy
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import Receipt, Refusal
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.faults import AnyFault
from spotdeploy.testing.fake.provider import FakeProvider


def keeping(run: Run, keep: Keep) -> Run:
    """The same run with another `keep`."""
    return configured(run, keep=keep)


def configured(run: Run, **keys: object) -> Run:
    """The same run with other keys at the top of its config."""
    config = msgspec.structs.replace(run.config, **keys)
    settings = msgspec.structs.replace(run.project.settings, config=config)
    return replace(run, project=replace(run.project, settings=settings))


class Ears:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.received: list[Event] = []

    def on(self, event: Event) -> None:
        self.received.append(event)


class Creation(NamedTuple):
    """What came of asking."""

    nodes: tuple[Node, ...]
    refusals: tuple[Refusal, ...]


class FakeProject:
    """Everything one test of a phase needs."""

    def __init__(
        self,
        folder: Path,
        *,
        count: int = 3,
        locations: Sequence[str] = ("here",),
        sizes: Sequence[str] = ("small", "large"),
        faults: Sequence[AnyFault] = (),
        settle: float = 0.0,
        quota_late: float = 0.0,
        patience: str = "10s",
        policy: MarketPolicy = MarketPolicy.SPOT,
        quorum: int | None = None,
    ) -> None:
        self.cloud = FakeCloud(script=faults)
        self.config = FakeConfig(
            locations=tuple(locations), sizes=tuple(sizes), settle=settle, quota_late=quota_late
        )
        self.ears = Ears()
        self.folder = folder
        self.settings = Settings(
            config=Config(
                deployment="demo",
                nodes=Nodes(count=count, market=policy, quorum=quorum),
                timeouts=Timeouts(destroy=Duration(patience)),
            ),
            path=folder / "spotdeploy.toml",
        )
        self.run = self.new_run("run-1")

    def new_run(self, run: str) -> Run:
        """A run such as the next process would have."""
        places = tuple(
            Location(FakeProvider(self.config, place, self.cloud), place)
            for place in self.config.locations
        )
        journal = Journal(self.folder / "journal.db")
        project = Project(self.settings, Plugins(self.folder), ("fake",))
        return Run(project, run, Plan(), places, journal, Bus(self.ears))

    @property
    def offers(self) -> dict[str, list[Offer]]:
        """The candidates, as the plan phase collects them."""
        pool = self.run.pool
        places = self.run.locations
        return {"fake": [o for place in places for o in place.provider.offers(pool)]}

    async def create(self, expires_at: float = 9e9) -> Creation:
        """Create what is desired. `expires_at` is Unix time in seconds."""
        template = self.batch("", expires_at)
        return Creation(*await create(self.run, self.offers, template))

    def batch(self, token: str, expires_at: float = 9e9) -> Batch:
        """A create call of one node."""
        labels = for_batch("demo", self.run.id, token, "digest", expires_at)
        return Batch(token=token, count=1, labels=labels, user_data=b"", user="spotdeploy")

    async def destroy(self) -> Receipt:
        """Destroy everything, as another process would."""
        run = self.new_run("run-2")
        try:
            return await destroy(run)
        finally:
            run.close()

    def existing(self) -> int:
        """How many billed things exist or are to appear, asked of the cloud itself."""
        return len(self.cloud.billed())

    def machines(self) -> int:
        """How many machines exist or are to appear, asked of the cloud itself."""
        return len([id_ for id_ in self.cloud.billed() if id_.startswith("m-")])
