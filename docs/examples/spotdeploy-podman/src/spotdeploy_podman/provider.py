"""The provider `podman`: containers of this computer that run systemd, by Podman's REST API.

https://docs.podman.io/en/v4.3.1/_static/api.html
"""

from __future__ import annotations

import io
import socket
import tarfile
import time
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

import msgspec
from spotdeploy import labels as names
from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy.model import (
    Batch,
    Created,
    Fate,
    FateKind,
    Node,
    NodeState,
    Offer,
    Pool,
    Problem,
    Resource,
)
from spotdeploy.provider import BaseProvider, ProviderConfig, create_each
from spotdeploy.refusals import ErrorTable, none_if_missing, try_each

LIBPOD: Final = "/v4.0.0/libpod/containers"
SIZE: Final = "container"
STATES: Final = {
    **dict.fromkeys(("configured", "created", "initialized"), NodeState.PENDING),
    **dict.fromkeys(("exited", "stopped", "stopping", "dead"), NodeState.STOPPED),
    "removing": NodeState.GOING,
}
"""What is in none of these runs."""
MISSING: Final = {"404"}
ERRORS: Final = ErrorTable(capacity={"cannot allocate memory", "no space left on device"})
"""Podman has no codes: the `cause` of a refusal stands for one, the status for what is missing."""
TAKEN: Final = "that name is already in use"
UNIT: Final = b"""\
[Unit]
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/bin/sh /var/lib/spotdeploy-user-data
"""
UNITS: Final = "etc/systemd/system"
NAME: Final = "podman-user-data.service"


class PodmanConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[provider.podman]` table."""

    socket: str = "/run/podman/podman.sock"
    """Where `podman system service` listens."""
    image: str = "localhost/node:1"
    """Has systemd as /sbin/init, and what else a node must be."""
    limits: Mapping[str, int] = {}
    """Limits of a node's processes, such as nofile, where Podman's own are refused."""


class Container(msgspec.Struct, frozen=True):
    """One of a listing in Docker's form, which has the address. Its name follows from the batch's
    token, so it is unique, and Podman takes it wherever it takes an id."""

    names: tuple[str, ...] = msgspec.field(name="Names")
    labels: Mapping[str, str] = msgspec.field(name="Labels")
    created: float = msgspec.field(name="Created")
    state: str = msgspec.field(name="State")
    settings: dict[str, Any] = msgspec.field(name="NetworkSettings", default_factory=dict)


class PodmanProvider(BaseProvider[PodmanConfig]):
    """Containers on Podman's own bridge, which this computer reaches and no other."""

    name: ClassVar[str] = "podman"
    Config: ClassVar[type[PodmanConfig]] = PodmanConfig
    user_data_limit: ClassVar[int] = 1_000_000
    quota_seconds = 0.0
    poll_seconds: ClassVar[float] = 0.5

    @classmethod
    def locations(cls, config: PodmanConfig) -> Sequence[str]:
        del config
        return ("here",)

    def doctor(self) -> Sequence[Problem]:
        found = super().doctor()
        image = f"/v4.0.0/libpod/images/{quote(self.config.image, safe='')}/exists"
        if not found and none_if_missing(lambda: self._call("GET", image) or True, MISSING) is None:
            return [Problem(f"there is no image {self.config.image}", "podman images")]
        return found

    def find_offers(self, pool: Pool) -> Iterable[Offer]:
        return [
            Offer(self.name, self.location, None, SIZE, market, 0.0)
            for market in pool.policy.markets
        ]

    def create(self, offer: Offer, batch: Batch) -> Created:
        """Three calls for each node: made with its labels, given its user-data, started."""
        del offer
        return create_each(batch, lambda name: self._make(name, batch), self._remove)

    def find_nodes(self, labels: Mapping[str, str]) -> Iterable[Node]:
        chosen = [key if value == names.ANY else f"{key}={value}" for key, value in labels.items()]
        query = urlencode({"all": "true", "filters": msgspec.json.encode({"label": chosen})})
        found = self._call("GET", f"/v1.41/containers/json?{query}")
        return map(self._node, msgspec.json.decode(found, type=list[Container]))

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        try_each([node.id for node in nodes], self._remove)

    def find_leftovers(self, labels: Mapping[str, str]) -> Iterable[Resource]:
        """Nothing: volumes go with their container."""
        del labels
        return ()

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        raise ProviderError(f"podman has nothing besides containers, and no {resources[0].kind}")

    def fate(self, node: Node) -> Fate:
        path = f"{LIBPOD}/{node.id}/json"
        shown = none_if_missing(lambda: self._call("GET", path), MISSING)
        if shown is None:
            return Fate(FateKind.VANISHED, "podman has no such container")
        state = msgspec.json.decode(shown, type=dict[str, Any])["State"]
        ended = STATES.get(state["Status"]) is NodeState.STOPPED
        why = f"{state['Status']}, exit code {state['ExitCode']}"
        return Fate(FateKind.STOPPED if ended else FateKind.ALIVE, why)

    def auto_shutdown(self) -> str:
        return "the timer on the node stops it; its disk stays until it is destroyed"

    def manual_delete_command(self, thing: Node | Resource) -> str:
        return f"podman rm --force --volumes {thing.id}"

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        chosen = (key if value == names.ANY else f"{key}={value}" for key, value in labels.items())
        return " ".join(["podman ps --all", *(f"--filter label={one}" for one in chosen)])

    def _make(self, name: str, batch: Batch) -> Node:
        """A container of that name; each step may have been done by a call before."""
        limits = self.config.limits.items()
        wish = {
            "name": name,
            "image": self.config.image,
            "command": ["/sbin/init"],
            "systemd": "always",
            "labels": batch.labels,
            "r_limits": [{"type": key, "soft": value, "hard": value} for key, value in limits],
        }
        try:
            self._call("POST", f"{LIBPOD}/create", msgspec.json.encode(wish))
        except ProviderError as error:
            if error.code != TAKEN:
                raise
        self._call("PUT", f"{LIBPOD}/{name}/archive?path=/", _files(batch.user_data))
        self._call("POST", f"{LIBPOD}/{name}/start")
        now = time.time()
        return self._node(Container((name,), batch.labels, now, "created", {}))

    def _remove(self, name: str) -> None:
        path = f"{LIBPOD}/{name}?force=true&v=true"
        none_if_missing(lambda: self._call("DELETE", path), MISSING)

    def _node(self, found: Container) -> Node:
        networks = (found.settings.get("Networks") or {}).values()
        name = found.names[0].removeprefix("/")
        return Node(
            id=name,
            name=name,
            provider=self.name,
            location=self.location,
            state=STATES.get(found.state, NodeState.RUNNING),
            labels=found.labels,
            size=SIZE,
            address=next((one["IPAddress"] for one in networks if one["IPAddress"]), None),
            created_at=found.created,
            usd_per_hour=0.0,
            cloud_state=found.state,
        )

    def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A call and its answer. Raises Podman's errors as spotdeploy's."""
        connection = _Connection(self.config.socket)
        call = f"{method} {path.partition('?')[0]}"
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            status, sent = answer.status, answer.read()
        except (OSError, HTTPException) as error:
            kind = LostReplyError if method in ("POST", "PUT") else ThrottledError
            raise kind(f"{call}: no answer: {error}", hint="podman system service") from error
        finally:
            connection.close()
        if status >= 400:
            no = msgspec.json.decode(sent, type=dict[str, Any])
            code = "404" if status == 404 else no.get("cause", "")
            raise ERRORS.error(code, no.get("message", ""), status, call)
        return sent


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("podman", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _files(user_data: bytes) -> bytes:
    """An archive for the node's root: the user-data, and the unit that runs it at each boot."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        for path, content in (
            ("var/lib/spotdeploy-user-data", user_data),
            (f"{UNITS}/{NAME}", UNIT),
        ):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo(f"{UNITS}/multi-user.target.wants/{NAME}")
        link.type, link.linkname = tarfile.SYMTYPE, f"../{NAME}"
        archive.addfile(link)
    return into.getvalue()
