"""The contract's lab for the fake provider: its cloud's state in a file.

`spotdeploy plugins test fake` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.testing import (
    Facts,
    FakeCloud,
    FakeConfig,
    FakeProvider,
    ManualClock,
    Powers,
    ProviderContract,
)
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.store import FileStore

OWN_ADDRESS = "127.0.0.1/32"
"""Who reaches a machine of the fake cloud when nobody is named."""


class TestFakeContract(ProviderContract):
    """All powers there are."""

    @pytest.fixture
    def provider_class(self) -> type[FakeProvider]:
        return FakeProvider

    @pytest.fixture
    def config(self, tmp_path: Path) -> FakeConfig:
        return FakeConfig(state=str(tmp_path / "cloud.json"), locations=("here", "there"))

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def cloud(self, config: FakeConfig, clock: ManualClock) -> FakeCloud:
        return FakeCloud(FileStore(Path(config.state)), clock)

    @pytest.fixture
    def make_provider(self, config: FakeConfig, cloud: FakeCloud) -> Callable[[], FakeProvider]:
        return lambda: FakeProvider(config, "here", cloud)

    @pytest.fixture
    def make_elsewhere(self, config: FakeConfig, cloud: FakeCloud) -> Callable[[], FakeProvider]:
        return lambda: FakeProvider(config, "there", cloud)

    @pytest.fixture
    def calls(self, cloud: FakeCloud) -> Callable[[], int]:
        return cloud.count

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(unknown_id="m-999999", account="fake-account")

    @pytest.fixture
    def powers(self, cloud: FakeCloud) -> Powers:
        def protect(node: Node) -> None:
            cloud.script(faults.RefuseDestroy(id=node.id, times=0))

        def openings(node: Node) -> list[tuple[int, str]]:
            machine = cloud.machine(node.id)
            allowed = machine.allow_from or (OWN_ADDRESS,)
            outside = [(port, cidr) for port in (22, *machine.open_ports) for cidr in allowed]
            between = [one for one in map(PortRange, machine.open_between) if one.protocol == "tcp"]
            return [
                *outside,
                *(
                    (port, f"{address}/32")
                    for address in cloud.admitted(node.id)
                    for one in between
                    for port in range(one.first, one.last + 1)
                ),
            ]

        def reaches(source: Node, target: Node, port: PortRange) -> bool:
            return cloud.machine(target.id).lets_in(cloud.machine(source.id), port)

        return Powers(
            no_capacity=lambda: cloud.script(faults.NoCapacity()),
            used_up_quota=lambda: cloud.script(faults.Quota()),
            limit_to=lambda count: cloud.script(faults.Quota(limit=count)),
            lose_reply=lambda: cloud.script(faults.LostReply()),
            throttle=lambda: cloud.script(faults.Throttled(times=0)),
            outage=lambda: cloud.script(faults.Outage(times=0)),
            expire_credentials=lambda: cloud.script(faults.ExpiredCredentials()),
            protect=protect,
            stop=lambda node: cloud.end(node.id, "stopped"),
            interrupt=lambda node: cloud.end(node.id, "interrupted"),
            vanish=lambda node: cloud.end(node.id, "vanished"),
            user_data_of=lambda node: cloud.machine(node.id).user_data,
            openings=openings,
            reaches=reaches,
            expires=lambda node: cloud.machine(node.id).expires_at,
            inventory=cloud.inventory,
            remains=cloud.billed,
            heal=cloud.heal,
        )
