"""libcloud's GCE driver with the gaps closed that would cost machines.

Every listing followed to its last page, zones that could not be asked reported instead of left
out, answers of an unknown shape refused instead of read as empty, errors typed, tokens renewed
while it lives, operations awaited, many calls in one request; a node is read without asking for
its zone and disks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_string
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from libcloud.common.base import ConnectionUserAndKey
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node as LibcloudNode
from libcloud.compute.drivers.gce import GCEConnection, GCENodeDriver, GCEResponse, GCEZone

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.errors import UNKNOWN_OUTCOME, failed, refused
from spotdeploy_gcp.schemas import AggregatedPage, Operation, Page, RefusalBody, last
from spotdeploy_libcloud.gathering import Gathering
from spotdeploy_libcloud.paging import all_pages
from spotdeploy_libcloud.transport import (
    Transport,
    guard_session,
    require_address,
    told_when,
)

PAGE: Final = 500
TIMEOUT: Final = 180.0
"""Seconds: a call that waits for an operation takes up to two minutes."""
OPERATION_TIMEOUT: Final = 600.0
"""Seconds after which an operation counts as lost."""
POLL_SECONDS: Final = 1.0
"""Seconds until an operation is asked for again: waiting may end early, even at once."""
MULTIPART: Final = "multipart/"
BOUNDARY: Final = "spotdeploy-batch"
T = TypeVar("T")
Query = Mapping[str, str | int]
PathParameters = Mapping[str, str]
"""What fills the placeholders of a method's path; `project` is the own one when left out."""


class Response(GCEResponse):
    """An answer; a refusal becomes one of our errors, with Google's code and message. An operation
    with errors is an answer like any other."""

    def parse_body(self) -> Any:
        """The JSON, or the text of an answer in many parts."""
        connection: Any = self.connection
        body = str(self.body or "")
        if self.status >= 400:
            call = connection.context.get("call", "the call")
            raise told_when(refusal(body, self.status, call), self.headers)
        if self.headers.get("content-type", "").startswith(MULTIPART):
            return body
        try:
            return json.loads(body)
        except ValueError as error:
            raise MalformedResponseError("not JSON", body=body, driver=connection.driver) from error


class Connection(GCEConnection):
    """A connection that takes the driver's present token for every request."""

    responseCls = Response  # noqa: N815  # libcloud's name

    def __init__(
        self, user_id: str, key: str, *args: Any, project: str, bearer: Bearer, **kwargs: Any
    ) -> None:
        """libcloud's own would ask for a token here, and keep it in a file."""
        ConnectionUserAndKey.__init__(self, user_id, key, *args, **kwargs)
        self.request_path = f"/compute/v1/projects/{project}"
        self.gce_params = None
        self.oauth2_credential: Any = bearer

    def connect(self, *args: Any, **kwargs: Any) -> None:
        """As libcloud, with the token kept."""
        super().connect(*args, **kwargs)  # type: ignore[no-untyped-call]  # libcloud
        guard_session(self.connection)

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """JSON, unless the request says otherwise."""
        return {"Content-Type": "application/json", **headers}

    def encode_data(self, data: Any) -> str:
        """JSON, unless it is text already."""
        return data if isinstance(data, str) else json.dumps(data)

    def morph_action_hook(self, action: str) -> str:
        """Paths are given whole."""
        return action


@dataclass(slots=True)
class Bearer:
    """What libcloud asks for a token."""

    access_token: str = ""


def refusal(body: str, status: int, call: str) -> ProviderError:
    """The typed error for the body of a refused call."""
    try:
        reported = msgspec.json.decode(body, type=RefusalBody).error
    except msgspec.DecodeError:
        return refused(f"HTTP {status}", " ".join(body.split())[:200] or "no message", status, call)
    return refused(reported.best_code, reported.message, status, call)


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

    def __init__(
        self,
        project: str,
        endpoint: str,
        token: Callable[[], str],
        quota_project: Callable[[], str] = lambda: "",
        gathering: Gathering | None = None,
    ) -> None:
        """Connects to nothing yet. `endpoint` is a URL; `token` and `quota_project` are asked
        before every request. Listings over all zones are shared through `gathering`."""
        address = require_address(endpoint)
        self._token = token
        self._quota_project = quota_project
        self._gathering = gathering or Gathering()
        self._bearer = Bearer()
        self._transport = Transport(endpoint, UNKNOWN_OUTCOME)
        where: dict[str, Any] = {
            "secure": address.secure,
            "host": address.host,
            "port": address.port,
        }
        super().__init__("", "", project=project, timeout=TIMEOUT, **where)  # type: ignore[no-untyped-call]  # libcloud

    def call(
        self,
        action: Action,
        schema: type[T],
        at: PathParameters | None = None,
        *,
        body: object = None,
        query: Query | None = None,
        repeatable: bool = True,
    ) -> T:
        """Call one method; `at` fills its path, and may name another project. `repeatable` False is
        for calls that create.

        Raises ProviderError and its kinds, with Google's own message.
        """
        path = self.path(action, at or {})
        request = Request(action.value.verb, path, body, query or {})
        return read(self._send(action.id, request, repeatable=repeatable), schema)

    def pages(
        self,
        action: Action,
        item: type[T],
        query: Query,
        at: PathParameters | None = None,
    ) -> list[T]:
        """The items of all pages of a listing of one place."""

        def page(token: str | None) -> tuple[list[object], str]:
            answer = self.call(action, Page, at, query=_page(query, token))
            _require_list(action, answer.kind)
            if answer.warning is not None and answer.warning.hides:
                raise ThrottledError(f"{action.id}: {answer.warning.message}")
            return answer.items, answer.next_page_token

        return [read(one, item) for one in all_pages(page, action.id)]

    def zonal(self, action: Action, noun: str, item: type[T], query: Query, region: str) -> list[T]:
        """The items of all pages of a listing over all zones, those of one region only.
        Regions that ask for the same at the same time share one listing.

        Without `returnPartialSuccess` one zone anywhere that cannot be reached fails the whole
        listing, says the API's description; only its dated versions are always asked that way:
        https://github.com/googleapis/google-cloud-python/releases/tag/google-cloud-compute-v1.55.0

        Raises ThrottledError when a zone of the region could not be asked: its machines would be
        missing from the listing.
        """
        partial = {**query, "returnPartialSuccess": "true"}

        def page(token: str | None) -> tuple[list[AggregatedPage], str]:
            answer = self.call(action, AggregatedPage, query=_page(partial, token))
            _require_list(action, answer.kind)
            return [answer], answer.next_page_token

        what = (self.project, action, *sorted(partial.items()))
        pages = self._gathering.ask(what, lambda: all_pages(page, action.id))
        if silent := [scope for one in pages for scope in one.unreached(region)]:
            raise ThrottledError(f"{action.id}: Google cannot ask {', '.join(silent)} now")
        scopes = [scope for one in pages for scope in one.of_region(region).values()]
        found = [one for scope in scopes for one in read(scope.get(noun, []), list[object])]
        return [read(one, item) for one in found]

    def finish(self, operation: Operation, at: PathParameters) -> Operation:
        """Wait until an operation is done, and return it as it is then, failed or not. `at` has its
        zone, when it has one.

        Blocks for `OPERATION_TIMEOUT` seconds at most. Raises LostReplyError when it is not done
        by then.
        """
        at = {**at, "operation": operation.name}
        action = Action.WAIT_ZONE_OPERATION if "zone" in at else Action.WAIT_GLOBAL_OPERATION
        deadline = time.monotonic() + OPERATION_TIMEOUT
        while operation.status != "DONE":
            if time.monotonic() > deadline:
                raise LostReplyError(f"operation {operation.name} is still {operation.status}")
            operation = self.call(action, Operation, at)
            if operation.status != "DONE":
                time.sleep(POLL_SECONDS)
        return operation

    def succeed(self, operation: Operation, call: str, at: PathParameters) -> None:
        """The same, and raise the typed error of a failed one. `call` names it in the error."""
        done = self.finish(operation, at)
        if done.errors:
            raise failed(done.errors, call)

    def together(self, action: Action, at: Sequence[PathParameters]) -> list[ProviderError | None]:
        """Make many calls of one method without bodies in one request: the error of each, or None.

        https://cloud.google.com/compute/docs/api/how-tos/batch
        """
        what = f"a batch of {len(at)} {action.id}"
        body = encode_batch([f"{action.value.verb} {self.path(action, one)}" for one in at])
        headers = {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"}
        request = Request("POST", "/batch/compute/v1", body, {}, headers)
        answers = decode_batch(str(self._send(what, request, repeatable=True)))
        if len(answers) != len(at):
            raise ThrottledError(f"{what}: got {len(answers)} answers")
        return [
            refusal(body, status, action.id) if status >= 400 else None for status, body in answers
        ]

    def path(self, action: Action, at: PathParameters) -> str:
        """The whole path of a method's URL."""
        quoted = {key: quote(one, ":") for key, one in {"project": self.project, **at}.items()}
        template = f"/compute/v1/projects/{{project}}/{action.value.path}"
        return template.format_map(quoted).rstrip("/")

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
        self._bearer.access_token = self._token()
        headers = quota_header(self._quota_project())
        with self._transport.call(what, repeatable=repeatable):
            return self.connection.request(
                request.path,
                params=dict(request.query),
                data=request.body,
                headers={**request.headers, **headers},
                method=request.verb,
                retry_failed=False,
            ).object

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        return {"project": self.project, "bearer": self._bearer}


def quota_header(project: str) -> dict[str, str]:
    """What names the project whose quota a request uses: https://cloud.google.com/apis/docs/system-parameters"""
    return {"X-Goog-User-Project": project} if project else {}


def read(answer: object, schema: type[T]) -> T:
    """An answer as a type. Raises ProviderError when it has another shape."""
    try:
        return msgspec.convert(answer, schema)
    except msgspec.ValidationError as error:
        raise ProviderError(f"Google's answer is not as documented: {error}") from error


def _page(query: Query, token: str | None) -> dict[str, str | int]:
    return {**query, "maxResults": PAGE} | ({"pageToken": token} if token else {})


def _require_list(action: Action, kind: str) -> None:
    """Reading anything else would find no items in it, and "no machines" is the most expensive
    misunderstanding."""
    if not (kind.startswith("compute#") and kind.endswith("List")):
        raise ProviderError(f"{action.id}: the answer is not a list but {kind!r}")


def encode_batch(requests: Sequence[str]) -> str:
    """The body for requests without bodies, each written like `DELETE /path`."""
    parts = [
        f"--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
        f"{request} HTTP/1.1\r\n\r\n\r\n"
        for number, request in enumerate(requests)
    ]
    return f"{''.join(parts)}--{BOUNDARY}--\r\n"


def decode_batch(text: str) -> list[tuple[int, str]]:
    """The HTTP status and body of each answer, in the order of the requests."""
    boundary = text.lstrip().partition("\n")[0].strip().removeprefix("--")
    message = message_from_string(
        f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n{text}'
    )
    answers: dict[int, tuple[int, str]] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        number = str(part["Content-ID"]).strip("<>").rpartition("-")[2]
        head, _, rest = str(part.get_payload()).lstrip().partition("\n")
        body = rest.replace("\r\n", "\n").partition("\n\n")[2]
        status = head.split()[1:2]
        if number.isdigit() and status and status[0].isdigit():
            answers[int(number)] = (int(status[0]), body.strip())
    return [answers[number] for number in sorted(answers)]
