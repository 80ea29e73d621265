"""The provider of the fake cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from spotdeploy.errors import CredentialsError, ProviderError, Reach
from spotdeploy.model import Batch, Created, Fate, Market, Node, Offer, Pool, Problem, Resource
from spotdeploy.provider import (
    BaseProvider,
    SupportsAccount,
    SupportsClaims,
    SupportsConsole,
    SupportsPeers,
)
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.machine import Machine, Thing
from spotdeploy.testing.fake.store import FileStore

SPOT_SHARE: Final = 0.25


class FakeProvider(
    BaseProvider[FakeConfig], SupportsAccount, SupportsClaims, SupportsConsole, SupportsPeers
):
    """One location of a fake cloud."""

    name: ClassVar[str] = "fake"
    Config = FakeConfig
    poll_seconds: ClassVar[float] = 0.2

    @classmethod
    def locations(cls, config: FakeConfig) -> Sequence[str]:
        return config.locations

    def __init__(self, config: FakeConfig, location: str, cloud: FakeCloud | None = None) -> None:
        """`cloud` stands in for the one in the config's state file."""
        super().__init__(config, location)
        self.cloud = cloud or FakeCloud(FileStore(Path(config.state)), script=config.faults)
        self.settle_seconds = config.settle
        self.quota_seconds = config.quota_late

    def doctor(self) -> Sequence[Problem]:
        try:
            self.cloud.ping("account", self.location)
        except CredentialsError as error:
            return (Problem(f"the fake cloud refuses: {error.message}", "heal the fake cloud"),)
        return ()

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        self.cloud.ping("offers", self.location)
        return [
            Offer(
                self.name,
                self.location,
                zone,
                size,
                market,
                self._price(size, market),
                family=size.partition("-")[0],
            )
            for market in pool.policy.markets
            for zone in self.config.zones
            for size in self.config.sizes
        ]

    def create(self, offer: Offer, batch: Batch) -> Created:
        if offer.zone not in self.config.zones:
            raise ProviderError(
                f"{self.location} has no zone {offer.zone}", code="InvalidZone", reach=Reach.ZONE
            )
        machines, shortfall = self.cloud.create(offer, batch)
        return Created(tuple(map(self._node, machines)), shortfall)

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [self._node(machine) for machine in self.cloud.list_machines(self.location, labels)]

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        refused = self.cloud.destroy(self.location, [node.id for node in nodes])
        if refused:
            message = "; ".join(f"{id_}: {why}" for id_, why in refused.items())
            raise ProviderError(f"cannot destroy {message}", code="OperationNotPermitted")

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return [self._resource(thing) for thing in self.cloud.list_things(self.location, labels)]

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        self.cloud.release(self.location, [resource.id for resource in resources])

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        self.cloud.admit(self.location, batch, addresses)

    def claim(self, labels: Mapping[str, str]) -> Resource:
        return self._resource(self.cloud.claim(self.location, labels))

    def fate(self, node: Node) -> Fate:
        return self.cloud.fate(self.location, node.id)

    def auto_shutdown(self) -> str:
        return "the fake cloud ends it when its time to live is over"

    def manual_delete_command(self, thing: Node | Resource) -> str:
        return f"remove {thing.id} from {self.config.state}"

    def account(self) -> str:
        self.cloud.ping("account", self.location)
        return self.config.account

    def console(self, node: Node) -> str:
        self.cloud.ping("console", self.location)
        return f"{node.name}: booted by the fake cloud\n"

    def _price(self, size: str, market: Market) -> float | None:
        price = self.config.prices.get(size)
        if price is None:
            return None
        return price * SPOT_SHARE if market is Market.SPOT else price

    def _node(self, machine: Machine) -> Node:
        state = machine.state(self.cloud.clock.now())
        return Node(
            id=machine.id,
            name=machine.name,
            provider=self.name,
            location=machine.location,
            state=state,
            labels=machine.labels,
            zone=machine.zone,
            size=machine.size,
            market=machine.market,
            address=f"{machine.id}.fake.invalid",
            created_at=machine.created_at,
            usd_per_hour=machine.usd_per_hour,
            cloud_state=state.value,
        )

    def _resource(self, thing: Thing) -> Resource:
        return Resource(thing.kind, thing.id, self.name, thing.location, thing.labels)
