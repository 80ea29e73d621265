"""Right providers of every shape: each must keep the whole contract, as far as it can be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec.structs import replace

from spotdeploy.errors import CapacityError, ProviderError, QuotaError
from spotdeploy.model import Batch, Created, Fate, Node, Offer, Pool, Problem, Resource
from spotdeploy.provider import Provider, require_labels
from spotdeploy.testing import Facts, FakeCloud, FakeConfig, FakeProvider
from spotdeploy.testing.fake import faults
from tests.testing.broken_costly import Noticed
from tests.testing.broken_powers import Dialled

FACTS = Facts(unknown_id="m-999999", account="fake-account", notice='{"action": "terminate"}')


class Shape:
    """What the lab of a right provider says of it."""

    facts: ClassVar[Facts] = FACTS
    lab_config: ClassVar[FakeConfig] = FakeConfig()


class Plain(FakeProvider, Shape):
    """A batch in one call, groups, a console, claims, an account."""


class WithNotices(Noticed, Shape):
    """Its nodes can read that they will be interrupted."""


class WithDial(Dialled, Shape):
    """Its nodes are not reached by their addresses."""


class OneByOne(FakeProvider, Shape):
    """Its cloud makes and ends nodes one by one."""

    facts = Facts(
        unknown_id="m-999999", account="fake-account", batch_create=False, batch_destroy=False
    )

    def create(self, offer: Offer, batch: Batch) -> Created:
        nodes: list[Node] = []
        shortfall = None
        for number in range(batch.count):
            one = replace(batch, count=1, token=f"{batch.token}.{number}")
            try:
                nodes += super().create(offer, one).nodes
            except (CapacityError, QuotaError) as error:
                if not nodes:
                    raise
                shortfall = error.message
                break
        return Created(tuple(nodes), shortfall)

    def destroy(self, nodes: Sequence[Node]) -> None:
        refused: ProviderError | None = None
        for node in nodes:
            try:
                super().destroy([node])
            except ProviderError as error:
                refused = error
        if refused:
            raise refused


class Polling(FakeProvider, Shape):
    """Its cloud answers with an operation, which is asked until it is done."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        for _ in range(3):
            self.cloud.clock.sleep(0.5)
            self.cloud.ping("account", self.location)
        return created


class EventuallyConsistent(FakeProvider, Shape):
    """Its listings are late by some seconds, and it says so."""

    lab_config = FakeConfig(settle=12.0, faults=(faults.Unlisted(seconds=10.0, times=0),))


class SlowToGo(FakeProvider, Shape):
    """Its nodes take a minute to be gone, and are listed meanwhile."""

    lab_config = FakeConfig(faults=(faults.SlowGoing(seconds=60.0, times=0),))


class Bare(Provider[FakeConfig], Shape):
    """Nothing but what every provider must have: nodes, and nothing besides them."""

    name: ClassVar[str] = "fake"
    Config = FakeConfig

    @classmethod
    def locations(cls, config: FakeConfig) -> Sequence[str]:
        return config.locations

    def __init__(self, config: FakeConfig, location: str, cloud: FakeCloud | None = None) -> None:
        self._whole = FakeProvider(config, location, cloud)

    def doctor(self) -> Sequence[Problem]:
        return self._whole.doctor()

    def offers(self, pool: Pool) -> Sequence[Offer]:
        return self._whole.offers(pool)

    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return self._whole.create(offer, batch)
        finally:
            cloud = self._whole.cloud
            with cloud._store.transaction() as state:
                for thing in [one for one in state.things.values() if one.kind == "group"]:
                    del state.things[thing.id]

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return self._whole.nodes(labels)

    def destroy(self, nodes: Sequence[Node]) -> None:
        self._whole.destroy(nodes)

    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        require_labels(labels)
        return ()

    def release(self, resources: Sequence[Resource]) -> None:
        return

    def fate(self, node: Node) -> Fate:
        return self._whole.fate(node)

    def auto_shutdown(self) -> str:
        return self._whole.auto_shutdown()


RIGHT = (
    Plain,
    WithNotices,
    WithDial,
    OneByOne,
    Polling,
    EventuallyConsistent,
    SlowToGo,
    Bare,
)
