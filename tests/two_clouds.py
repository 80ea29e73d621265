"""Two fake clouds, each with prices and faults of its own, and runs that use both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from spotdeploy.config.schema import Config, Keep, Nodes, Settings, Timeouts
from spotdeploy.duration import Duration
from spotdeploy.events import Bus
from spotdeploy.labels import for_batch
from spotdeploy.model import DEFAULT_GROUP, Batch, Offer
from spotdeploy.phases.create import create
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.state.journal import Journal
from spotdeploy.testing.clock import Clock, SystemClock
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider
from spotdeploy.testing.fake.store import MemoryStore
from tests.fake_project import Creation, Ears


class Other(FakeProvider):
    """Another fake cloud."""

    name: ClassVar[str] = "other"


KINDS: Final[Mapping[str, type[FakeProvider]]] = {"fake": FakeProvider, "other": Other}


class TwoClouds:
    """A folder, two clouds that outlive the runs, and one run after the other."""

    def __init__(
        self,
        folder: Path,
        *,
        fake: Mapping[str, Any] | None = None,
        other: Mapping[str, Any] | None = None,
        keep: Keep = "never",
        clock: Clock | None = None,
        **nodes: Any,
    ) -> None:
        """`fake` and `other` are keys of `[provider.NAME]`, `nodes` those of `[nodes]`."""
        self.folder = folder
        self.clock = clock or SystemClock()
        self.configs = {"fake": FakeConfig(**fake or {}), "other": FakeConfig(**other or {})}
        self.clouds = {name: FakeCloud(MemoryStore(), self.clock) for name in KINDS}
        self.settings = Settings(
            config=Config(
                deployment="demo",
                nodes=Nodes(**nodes),
                keep=keep,
                timeouts=Timeouts(destroy=Duration("2s")),
            ),
            path=folder / "spotdeploy.toml",
        )
        self.ears = Ears()
        self.runs: list[Run] = []
        self.kinds = dict(KINDS)

    def new_run(self) -> Run:
        """A run such as the next process would have."""
        places = tuple(
            Location(self.kinds[name](config, place, self.clouds[name]), place)
            for name, config in self.configs.items()
            for place in config.locations
        )
        journal = Journal(self.folder / "journal.db", now=self.clock.now)
        project = Project(self.settings, Plugins(self.folder), tuple(KINDS), DEFAULT_GROUP)
        run = f"20270115-080000-{len(self.runs):06x}"
        bus = Bus(self.ears, now=self.clock.now)
        self.runs.append(Run(project, run, Plan(), places, journal, bus))
        return self.runs[-1]

    @staticmethod
    def offers(run: Run) -> dict[str, list[Offer]]:
        """The candidates, as the plan phase collects them."""
        return {
            name: [o for place in run.of_provider(name) for o in place.provider.offers(run.pool)]
            for name in run.providers
        }

    async def create(self, run: Run) -> Creation:
        """Create what is desired."""
        return Creation(*await create(run, self.offers(run), self.batch(run)))

    @staticmethod
    def batch(run: Run) -> Batch:
        """What every create call carries."""
        labels = for_batch("demo", run.id, "", "digest", 9e9)
        return Batch(token="", count=0, labels=labels, user_data=b"", user="spotdeploy")

    def machines(self) -> dict[str, int]:
        """How many machines each cloud has, or is to have."""
        return {
            name: sum(id_.startswith("m-") for id_ in cloud.billed())
            for name, cloud in self.clouds.items()
        }

    def asked(self) -> list[str]:
        """Every create call that reached a cloud, in the order they were made."""
        calls = [
            (call.at, call.detail)
            for cloud in self.clouds.values()
            for call in cloud.calls()
            if call.name == "create"
        ]
        return [detail for _, detail in sorted(calls)]

    def close(self) -> None:
        """Let go of every run."""
        for run in self.runs:
            run.close()


def providers(creation: Creation) -> list[str]:
    """Where the nodes came from, in order of their names."""
    return sorted(node.provider for node in creation.nodes)


def places(offers: Sequence[Offer]) -> list[str]:
    """Offers in a word each, for comparison."""
    return [f"{one.provider} {one.location} {one.size} {one.market}" for one in offers]
