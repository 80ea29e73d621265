"""The provider contract, kept by containers of podman, and in `make contract` by docker's."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.testing import Facts, Powers
from spotdeploy_local.engines.container import commands
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.image.recipe import USER_DATA
from tests.providers.local.container_bench import ContainerBench, container_bench
from tests.providers.local.engine_contract import LocalContract


@dataclass(frozen=True)
class SmallHost(ContainerEngine):
    """A host whose memory the test decides about."""

    limit: list[int] = field(default_factory=list)

    def room(self) -> int:
        return min([super().room(), *self.limit])


class ContainerContract(LocalContract):
    """Needs a fixture `container`."""

    @pytest.fixture
    def engine(self, container: ContainerBench) -> SmallHost:
        one = container.engine
        return SmallHost(one.program, one.layout, abouts=one.abouts)

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(free=True, unknown_id="never-was-1", page_size=2, test_within=300.0, poll=0.1)

    @pytest.fixture
    def powers(self, engine: SmallHost, container: ContainerBench) -> Powers:
        def user_data(node: Node) -> bytes:
            place = f"{commands.container_name(engine.layout.key, node.id)}:{USER_DATA}"
            return _only_file(container.copied(place))

        def reaches(source: Node, target: Node, port: PortRange) -> bool:
            return container.reaches(source.id, target.id, port)

        return Powers(
            no_capacity=lambda: engine.limit.append(0),
            limit_to=engine.limit.append,
            stop=lambda node: engine.stop([node.id]),
            interrupt=lambda node: engine.preempt(node.id),
            reaches=None if engine.filter_problems() else reaches,
            vanish=lambda node: engine.destroy([node.id]),
            user_data_of=user_data,
            inventory=container.remains,
            remains=lambda _: container.remains(),
            heal=engine.limit.clear,
        )


@pytest.mark.machines
class TestPodmanContract(ContainerContract):
    @pytest.fixture
    def container(self, tmp_path: Path, machine_key: Path) -> Iterator[ContainerBench]:
        with container_bench("podman", tmp_path, machine_key) as bench:
            yield bench


@pytest.mark.machines
@pytest.mark.campaign
class TestDockerContract(ContainerContract):
    """The engine is podman's class: `make test` has docker in `test_local_containers.py`."""

    @pytest.fixture
    def container(
        self, dockerd: None, tmp_path: Path, machine_key: Path
    ) -> Iterator[ContainerBench]:
        with container_bench("docker", tmp_path, machine_key) as bench:
            yield bench


def _only_file(packed: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        (entry,) = tar.getmembers()
        content = tar.extractfile(entry)
        assert content
        return content.read()
