"""What every provider promises, asked of this one: `spotdeploy plugins test podman` runs it.

The lab is Podman's REST API, as far as the provider uses it, on a Unix socket of its own.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from spotdeploy.model import Node
from spotdeploy.testing import Answer, Call, Facts, HttpCloud, Powers, ProviderContract

from spotdeploy_podman.provider import PodmanConfig, PodmanProvider


class Podman(HttpCloud):
    """Containers in memory."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__(socket_path)
        self.containers: dict[str, Any] = {}
        self.heal()

    def heal(self) -> None:
        super().heal()
        self.has_memory = True
        self.limit = 1000
        self.protected: set[str] = set()

    def answer(self, call: Call) -> Answer:
        name = call.path.split("/")[4] if call.path.count("/") > 3 else ""
        if call.path.endswith("/containers/json"):
            return Answer(200, self.listed(json.loads(call.query["filters"])["label"]))
        if call.path.endswith("/exists"):
            return Answer(204, None)
        if call.path.endswith("/create"):
            return self.create(call.body)
        if name not in self.containers:
            return Answer(404, {"cause": "no such container"})
        one = self.containers[name]
        if call.method == "DELETE":
            if name in self.protected:
                return Answer(500, {"cause": "container is protected"})
            del self.containers[name]
        elif call.path.endswith("/archive"):
            one["archive"] = call.body
        elif call.path.endswith("/start") and not self.has_memory:
            return Answer(500, {"cause": "cannot allocate memory"})
        elif call.path.endswith("/start"):
            one["State"] = "running"
        return Answer(200, {"State": {"Status": one["State"], "ExitCode": 0}})

    def create(self, wish: dict[str, Any]) -> Answer:
        name = wish["name"]
        if name in self.containers:
            return Answer(500, {"cause": "that name is already in use"})
        if len(self.containers) >= self.limit:
            return Answer(500, {"cause": "no space left on device"})
        networks = {"Networks": {"podman": {"IPAddress": "10.88.0.2"}}}
        made = {"Names": [f"/{name}"], "Labels": wish["labels"], "Created": int(time.time())}
        self.containers[name] = {**made, "State": "created", "NetworkSettings": networks}
        return Answer(201, {"Id": "0" * 64, "Warnings": []})

    def listed(self, labels: list[str]) -> list[Any]:
        def has(one: Any, label: str) -> bool:
            key, _, value = label.partition("=")
            return key in one["Labels"] and value in ("", one["Labels"][key])

        shown = [one for one in self.containers.values() if all(has(one, la) for la in labels)]
        return [{key: one[key] for key in one if key != "archive"} for one in shown]

    def user_data(self, node: Node) -> bytes:
        with tarfile.open(fileobj=BytesIO(self.containers[node.id]["archive"])) as archive:
            file = archive.extractfile("var/lib/spotdeploy-user-data")
            return file.read() if file else b""


class TestPodmanContract(ProviderContract):
    """How the lab is reached, and what it can make happen."""

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Iterator[Podman]:
        with Podman(tmp_path / "podman.sock") as cloud:
            yield cloud

    @pytest.fixture
    def provider_class(self) -> type[PodmanProvider]:
        return PodmanProvider

    @pytest.fixture
    def config(self, tmp_path: Path) -> PodmanConfig:
        return PodmanConfig(socket=str(tmp_path / "podman.sock"))

    @pytest.fixture
    def calls(self, cloud: Podman) -> Callable[[], int]:
        return lambda: cloud.count

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(
            free=True, batch_create=False, batch_destroy=False, unknown_id="never", poll=0.01
        )

    @pytest.fixture
    def powers(self, cloud: Podman) -> Powers:
        def become(state: str) -> Callable[[Node], None]:
            return lambda node: cloud.containers[node.id].update(State=state)

        return Powers(
            no_capacity=lambda: setattr(cloud, "has_memory", False),
            limit_to=lambda count: setattr(cloud, "limit", count),
            lose_reply=cloud.losing("POST"),
            outage=cloud.refusing(418, {"cause": "on fire"}),
            protect=lambda node: cloud.protected.add(node.id),
            stop=become("exited"),
            vanish=lambda node: cloud.containers.pop(node.id),
            user_data_of=cloud.user_data,
            inventory=lambda: list(cloud.containers),
            heal=cloud.heal,
        )
