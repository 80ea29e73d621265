"""Someone who uses a provider from within a lab with machines."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from spotdeploy import labels
from spotdeploy.model import Batch, Node
from spotdeploy.node import keys
from spotdeploy.node.user_data import UserData
from spotdeploy.ports import PortRange
from tests.labs.clouds import AnyMachineLab, Cloud

T = TypeVar("T")
SCOPE = labels.scope("shop")
PATIENCE = 90.0
POLL = 0.1


class LabUser:
    """Uses a cloud's provider as the core does: from one thread."""

    def __init__(self, lab: AnyMachineLab, cloud: Cloud, folder: Path) -> None:
        """Keys go to `folder`."""
        self.lab = lab
        self.cloud = cloud
        self.provider = cloud.open(lab)
        self.keys = keys.make(folder, "shop")
        self._folder = folder

    def create(
        self, count: int, life: float = 3600.0, between: tuple[PortRange, ...] = ()
    ) -> tuple[Node, ...]:
        """Ask for nodes."""
        bootstrap = UserData("deployer", self.keys, life)
        batch = Batch(
            token="token-0",
            count=count,
            labels=labels.for_batch("shop", "run-0", "token-0", "d" * 32, time.time() + life),
            user_data=bootstrap.encode(self.provider.user_data_limit),
            user="deployer",
            open_between=between,
            time_to_live=life,
        )
        return self.call(lambda: tuple(self.provider.create(self.cloud.offer, batch).nodes))

    def nodes(self) -> list[Node]:
        """What is listed."""
        return self.call(lambda: list(self.provider.nodes(SCOPE)))

    def call(self, question: Callable[[], T]) -> T:
        """Do something in the lab's network."""
        return self.lab.network.run(question)

    def ssh(self, node: Node, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a node."""
        options = [
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self._folder / 'known'}",
            "BatchMode=yes",
            "ConnectTimeout=3",
            "LogLevel=ERROR",
        ]
        (self._folder / "known").write_text(f"* {self.keys.bootstrap_host.public}\n")
        given = [part for option in options for part in ("-o", option)]
        key, where = str(keys.login_path(self._folder)), f"deployer@{self.lab.address(node.id)}"
        return subprocess.run(
            [*self.lab.network.enter, "ssh", "-i", key, *given, where, command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def output(self, node: Node, command: str) -> str:
        """What a command prints, once ssh answers."""
        return eventually(lambda: self.ssh(node, command), lambda done: done.returncode == 0).stdout


def eventually(look: Callable[[], T], good: Callable[[T], object]) -> T:
    """Wait until something real becomes true."""
    deadline = time.monotonic() + PATIENCE
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"it did not become true in time: {seen}"
        time.sleep(POLL)
    return seen
