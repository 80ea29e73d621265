"""libcloud's GCE driver with the gaps closed that would cost machines.

Every listing followed to its last page, zones that could not be asked reported instead of left
out, answers of an unknown shape refused instead of read as empty, errors typed, tokens renewed
while it lives, operations awaited, many calls in one request; a node is read without asking for
its zone and disks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from libcloud.compute.base import Node as LibcloudNode
from libcloud.compute.drivers.gce import GCENodeDriver, GCEZone

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy_gcp import multipart
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.connection import Bearer, Connection, refusal
from spotdeploy_gcp.errors import UNKNOWN_OUTCOME, failed
from spotdeploy_gcp.shapes import AggregatedPage, Operation, Page, last
from spotdeploy_libcloud.wire import Wire

PAGE: Final = 500
MOST_PAGES: Final = 1000
TIMEOUT: Final = 180.0
"""Seconds: a call that waits for an operation takes up to two minutes."""
PATIENCE: Final = 600.0
"""Seconds after which an operation counts as lost."""
PAUSE: Final = 1.0
"""Seconds until an operation is asked for again: waiting may end early, even at once."""
T = TypeVar("T")
Query = Mapping[str, str | int]
Names = Mapping[str, str]
"""What fills the placeholders of a method's path."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    verb: str
    path: str
    body: object
    query: Query
    headers: Mapping[str, str] = field(default_factory=dict)


class GceDriver(GCENodeDriver):
    """Compute Engine in one project. Not thread-safe."""

    connectionCls: Any = Connection  # noqa: N815  # libcloud's name

    def __init__(self, project: str, endpoint: str, token: Callable[[], str]) -> None:
        """Connects to nothing yet. `endpoint` is a URL; `token` is asked before every request."""
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ProviderError(f"the endpoint {endpoint!r} is not an http(s) URL")
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        self._bearer = Bearer(token)
        self._wire = Wire(endpoint)
        where: dict[str, Any] = {"secure": secure, "host": url.hostname, "port": port}
        super().__init__("", "", project=project, timeout=TIMEOUT, **where)  # type: ignore[no-untyped-call]  # libcloud

    def call(
        self,
        action: Action,
        shape: type[T],
        at: Names | None = None,
        *,
        body: object = None,
        query: Query | None = None,
        project: str | None = None,
        repeatable: bool = True,
    ) -> T:
        """Call one method; `at` fills its path. `repeatable` False is for calls that create.

        Raises ProviderError and its kinds, with Google's own words.
        """
        path = self.path(action, at or {}, project)
        request = Request(action.value.verb, path, body, query or {})
        return read(self._send(action.id, request, repeatable=repeatable), shape)

    def pages(
        self,
        action: Action,
        item: type[T],
        query: Query,
        at: Names | None = None,
        project: str | None = None,
    ) -> list[T]:
        """The items of all pages of a listing of one place."""
        found: list[object] = []
        token = ""
        for _ in range(MOST_PAGES):
            asked = _page(query, token)
            page = self.call(action, Page, at, query=asked, project=project)
            _require_list(action, page.kind)
            if page.warning is not None and page.warning.code == "UNREACHABLE":
                raise ThrottledError(f"{action.id}: {page.warning.message}")
            found += page.items
            token = page.next_page_token
            if not token:
                return [read(one, item) for one in found]
        raise ProviderError(f"{action.id}: more than {MOST_PAGES} pages")

    def zonal(self, action: Action, noun: str, item: type[T], query: Query, region: str) -> list[T]:
        """The items of all pages of a listing over all zones, those of one region only.

        Raises ThrottledError when a zone of the region could not be asked: its machines would be
        missing from the listing.
        """
        found: list[object] = []
        token = ""
        for _ in range(MOST_PAGES):
            page = self.call(action, AggregatedPage, query=_page(query, token))
            _require_list(action, page.kind)
            if silent := page.unreached(region):
                raise ThrottledError(f"{action.id}: Google cannot ask {', '.join(silent)} now")
            for scope in page.of_region(region).values():
                found += read(scope.get(noun, []), list[object])
            token = page.next_page_token
            if not token:
                return [read(one, item) for one in found]
        raise ProviderError(f"{action.id}: more than {MOST_PAGES} pages")

    def finish(self, operation: Operation, zone: str | None = None) -> Operation:
        """Wait until an operation is done, and return it as it is then, failed or not.

        Blocks for `PATIENCE` seconds at most. Raises LostReplyError when it is not done by then.
        """
        at = {"operation": operation.name} | ({"zone": zone} if zone else {})
        action = Action.WAIT_ZONE_OPERATION if zone else Action.WAIT_GLOBAL_OPERATION
        deadline = time.monotonic() + PATIENCE
        while operation.status != "DONE":
            if time.monotonic() > deadline:
                raise LostReplyError(f"operation {operation.name} is still {operation.status}")
            operation = self.call(action, Operation, at)
            if operation.status != "DONE":
                time.sleep(PAUSE)
        return operation

    def succeed(self, operation: Operation, call: str, zone: str | None = None) -> None:
        """The same, and raise the typed error of a failed one. `call` names it in the error."""
        done = self.finish(operation, zone)
        if done.errors:
            raise failed(done.errors, call)

    def together(self, action: Action, at: Sequence[Names]) -> list[ProviderError | None]:
        """Make many calls of one method without bodies in one request: the error of each, or None.

        https://cloud.google.com/compute/docs/api/how-tos/batch
        """
        what = f"a batch of {len(at)} {action.id}"
        body = multipart.encode([f"{action.value.verb} {self.path(action, one)}" for one in at])
        headers = {"Content-Type": f"multipart/mixed; boundary={multipart.BOUNDARY}"}
        request = Request("POST", "/batch/compute/v1", body, {}, headers)
        answers = multipart.decode(str(self._send(what, request, repeatable=True)))
        if len(answers) != len(at):
            raise ThrottledError(f"{what}: got {len(answers)} answers")
        return [
            refusal(said, status, action.id) if status >= 400 else None for status, said in answers
        ]

    def path(self, action: Action, at: Names, project: str | None = None) -> str:
        """The whole path of a method's URL."""
        filled = action.value.path.format_map({key: quote(one, "") for key, one in at.items()})
        return f"/compute/v1/projects/{project or self.project}/{filled}".rstrip("/")

    def to_node(self, instance: Mapping[str, Any]) -> LibcloudNode:
        """libcloud's node for an instance as the API gives it."""
        tags = {"fingerprint": "", **instance.get("tags", {})}
        node: LibcloudNode = self._to_node({**instance, "tags": tags})  # type: ignore[no-untyped-call]  # libcloud
        return node

    def ex_get_zone(self, name: str) -> GCEZone:
        """The zone of that name or URL, without asking for it."""
        zone = last(name)
        return GCEZone(zone, zone, "", None, None, self)

    def ex_get_volume(self, name: str, zone: Any = None, use_cache: bool = False) -> None:
        """No disk: nothing here needs what libcloud would read from it."""

    def _send(self, what: str, request: Request, *, repeatable: bool) -> object:
        self.connection.set_context({"call": what})
        try:
            with self._wire.call(what, repeatable=repeatable):
                return self.connection.request(
                    request.path,
                    params=dict(request.query),
                    data=request.body,
                    headers=dict(request.headers),
                    method=request.verb,
                    retry_failed=False,
                ).object
        except ThrottledError as error:
            if not repeatable and error.code in UNKNOWN_OUTCOME:
                raise LostReplyError(error.message, code=error.code) from error
            raise

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        return {"project": self.project, "bearer": self._bearer}


def read(answer: object, shape: type[T]) -> T:
    """An answer as a type. Raises ProviderError when it has another shape."""
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise ProviderError(f"Google's answer is not as documented: {error}") from error


def _page(query: Query, token: str) -> dict[str, str | int]:
    return {**query, "maxResults": PAGE} | ({"pageToken": token} if token else {})


def _require_list(action: Action, kind: str) -> None:
    """Reading anything else would find no items in it, and "no machines" is the most expensive
    misunderstanding."""
    if not (kind.startswith("compute#") and kind.endswith("List")):
        raise ProviderError(f"{action.id}: the answer is not a list but {kind!r}")
