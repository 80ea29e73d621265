"""What the clouds' labs need: a network without a way out, and moto in it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.network import Namespace


@pytest.fixture(scope="session")
def nowhere() -> Iterator[Namespace]:
    """A network namespace with nothing but its own loopback: whatever goes to a node's public
    address ends there."""
    name = f"faults-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        network = Namespace(Path("/run/netns", name))
        yield network
        network.close()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture(scope="session")
def moto(nowhere: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto's server, shared by all cases of a worker."""
    with running_moto(tmp_path_factory.mktemp("moto"), nowhere) as server:
        yield server
