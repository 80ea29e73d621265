"""A cloud that outlives the processes that use it, and every fault it may have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from hypothesis import strategies as st

from spotdeploy.config.schema import Config, Keep, Nodes, Settings, Timeouts
from spotdeploy.duration import Duration
from spotdeploy.events import Bus
from spotdeploy.model import Batch, Market, MarketPolicy, Offer
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.state.journal import Journal
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.faults import AnyFault
from spotdeploy.testing.fake.machine import CloudState
from spotdeploy.testing.fake.provider import FakeProvider
from spotdeploy.testing.fake.store import MemoryStore
from tests.properties import virtual

SETTLE: Final = 20.0
"""The provider's promise: so many seconds after a call, listings show its effect."""
LATE: Final = st.floats(0, SETTLE - 1).map(lambda seconds: round(seconds, 1))
TIMES: Final = {"at": st.integers(1, 4), "times": st.integers(0, 3)}
CALLS: Final = st.sampled_from(
    ["any", "offers", "create", "nodes", "destroy", "leftovers", "release", "fate", "console"]
)
ON_CALL: Final = {**TIMES, "call": CALLS}
ENDINGS: Final = st.sampled_from(["interrupted", "preempted", "stopped", "vanished"])
ZONES: Final = st.sampled_from([None, "a", "b"])
PLACE: Final = {**TIMES, "zone": ZONES, "location": st.sampled_from([None, "here", "there"])}
NODES: Final = st.integers(0, 3)
ANY_FAULT: Final[st.SearchStrategy[AnyFault]] = st.one_of(
    st.builds(faults.Throttled, **ON_CALL),
    st.builds(faults.ExpiredCredentials, **ON_CALL),
    st.builds(faults.Outage, **ON_CALL),
    st.builds(faults.SlowCall, **ON_CALL, seconds=st.sampled_from([1.0, 15.0, 90.0])),
    st.builds(faults.LostReply, **ON_CALL),
    st.builds(faults.Crash, at=st.integers(1, 12), call=CALLS, before=st.booleans()),
    st.builds(faults.InterruptionAt, **ON_CALL, nodes=NODES, ending=ENDINGS),
    st.builds(faults.NoCapacity, **PLACE),
    st.builds(faults.Quota, **PLACE, limit=NODES),
    st.builds(faults.PartialFill, **PLACE, give=st.integers(1, 3)),
    st.builds(faults.LateCreate, **PLACE, seconds=LATE),
    st.builds(faults.Unlisted, **PLACE, seconds=LATE),
    st.builds(faults.UnlistedGroup, **PLACE, seconds=LATE),
    st.builds(faults.SlowBoot, **PLACE, seconds=LATE),
    st.builds(faults.Unreachable, **PLACE),
    st.builds(faults.InterruptionAfter, **PLACE, seconds=LATE, nodes=NODES, ending=ENDINGS),
    st.builds(faults.SlowGoing, **TIMES, seconds=st.sampled_from([0.0, 5.0, 400.0])),
    st.builds(faults.RefuseDestroy, **TIMES, nodes=NODES),
    st.builds(faults.Stuck, **TIMES, nodes=NODES),
    st.builds(faults.OrphanDisk, **TIMES),
    st.builds(faults.StuckResource, **TIMES),
)
BLINKS: Final = st.lists(
    st.builds(faults.Blink, at=st.integers(1, 9), nodes=st.integers(1, 4)), max_size=1
)
"""One listing may lack what it should show; that two in a row do is not what clouds promise."""
SCRIPTS: Final = st.builds(
    lambda many, blink: [*many, *blink], st.lists(ANY_FAULT, max_size=6), BLINKS
)
BYSTANDER: Final = "somebody-else"


class KilledError(BaseException):
    """The process is dead: nothing it does from here on has any effect."""


class _Slow(FakeProvider):
    """Polled as rarely as a real cloud."""

    poll_seconds: ClassVar[float] = 5.0


class _Mortal:
    """The cloud's store, for one process."""

    def __init__(self, store: MemoryStore, *, groups: bool) -> None:
        self._store = store
        self._groups = groups
        self.dead = False

    @contextmanager
    def transaction(self) -> Iterator[CloudState]:
        if self.dead:
            raise KilledError
        with self._store.transaction() as state:
            yield state
            if not self._groups:
                for thing in [t for t in state.things.values() if t.kind == "group"]:
                    del state.things[thing.id]


@dataclass
class World:
    """One cloud, one folder, and one process after the other."""

    folder: Path
    count: int = 3
    locations: Sequence[str] = ("here", "there")
    quorum: int | None = None
    keep: Keep = "never"
    policy: MarketPolicy = MarketPolicy.SPOT_THEN_ON_DEMAND
    replace: bool = False
    groups: bool = True
    """Whether the cloud makes a group beside the machines, which shows that they are there."""
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self._store = MemoryStore()
        self.cloud = FakeCloud(self._store, self.clock)
        self._runs = 0
        place = FakeConfig(locations=tuple(self.locations), settle=SETTLE)
        self._config = place
        labels = {"spotdeploy-deployment": BYSTANDER, "spotdeploy-run": "r"}
        batch = Batch(
            token="bystander", count=1, labels=labels, user_data=b"", user="u", time_to_live=1e9
        )
        offer = Offer("fake", self.locations[0], "a", "small", Market.SPOT)
        self.cloud.create(offer, batch)

    @property
    def settings(self) -> Settings:
        """The config of the deployment."""
        nodes = Nodes(
            count=self.count,
            quorum=self.quorum,
            market=self.policy,
            on_interruption="replace" if self.replace else "fail",
        )
        config = Config(
            deployment="demo",
            nodes=nodes,
            timeouts=Timeouts(destroy=Duration("5m")),
            keep=self.keep,
        )
        return Settings(config=config, path=self.folder / "spotdeploy.toml")

    @contextmanager
    def _process(self, mortal: _Mortal) -> Iterator[Run]:
        journal = Journal(self.folder / "journal.db", now=self.clock.now)

        def die() -> None:
            mortal.dead = True
            journal.close()
            raise KilledError

        cloud = FakeCloud(mortal, self.clock, crash=die)
        places = tuple(Location(_Slow(self._config, p, cloud), p) for p in self.locations)
        self._runs += 1
        id_ = f"20270115-080000-{self._runs:06x}"
        project = Project(self.settings, Plugins(self.folder), ("fake",))
        run = Run(project, id_, Plan(), places, journal, Bus(now=self.clock.now))
        try:
            yield run
        finally:
            run.close()

    def run(self, work: Callable[[Run], Awaitable[Any]]) -> Any:
        """The work's result or its error, as a process of its own. A `Crash` kills that: from then
        on it changes nothing, and a `KilledError` is what it ends with."""
        mortal = _Mortal(self._store, groups=self.groups)
        with self._process(mortal) as run:
            ending = virtual.run(self.clock, _told(work, run))
        return KilledError() if mortal.dead else ending

    def billed(self) -> list[str]:
        """What the cloud bills to the deployment, now or soon; asked of the cloud alone."""
        return self.cloud.billed({"spotdeploy-deployment": "demo"})

    def bystanders(self) -> int:
        """Machines of others that nobody asked to end."""
        with self._store.transaction() as state:
            return sum(
                m.destroyed_at is None and m.labels["spotdeploy-deployment"] == BYSTANDER
                for m in state.machines.values()
            )


async def _told(work: Callable[[Run], Awaitable[Any]], run: Run) -> Any:
    try:
        return await work(run)
    except (Exception, KilledError) as error:  # noqa: BLE001  # the test looks at it
        return error
