"""Real machines for the tests of providers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.providers.local.container_bench import ContainerBench, container_bench, docker_daemon
from tests.providers.local.nspawn_bench import Bench, bench_at


@pytest.fixture(scope="session")
def machine_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key for OpenSSH."""
    key = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30
    )
    return key


@pytest.fixture
def bench(tmp_path: Path, machine_key: Path) -> Iterator[Bench]:
    """An engine of its own. At the end its machines are destroyed and nothing may be left."""
    bench = bench_at(tmp_path, machine_key)
    bench.engine.prepare(print)
    yield bench
    for network in list(bench.engine.held):
        bench.engine.drop_network(network)
    bench.engine.destroy([machine.id for machine in bench.engine.machines()])
    assert bench.remains() == []


@pytest.fixture(params=["podman", "docker"])
def container(
    request: pytest.FixtureRequest, tmp_path: Path, machine_key: Path
) -> Iterator[ContainerBench]:
    """A container engine of its own, which leaves nothing."""
    if request.param == "docker":
        request.getfixturevalue("dockerd")
    with container_bench(request.param, tmp_path, machine_key) as bench:
        yield bench


@pytest.fixture(scope="session")
def docker_socket() -> Iterator[str]:
    """Where a docker daemon of the tests' own answers."""
    with docker_daemon() as socket:
        yield socket


@pytest.fixture
def dockerd(docker_socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the docker command speak to the tests' own daemon."""
    monkeypatch.setenv("DOCKER_HOST", docker_socket)
