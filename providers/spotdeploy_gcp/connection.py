"""libcloud's GCE connection without its own way to tokens and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
from libcloud.common.base import ConnectionUserAndKey
from libcloud.common.types import MalformedResponseError
from libcloud.compute.drivers.gce import GCEConnection, GCEResponse

from spotdeploy.errors import ProviderError
from spotdeploy_gcp.errors import refused
from spotdeploy_gcp.shapes import RefusalBody

MULTIPART: Final = "multipart/"


class Response(GCEResponse):
    """An answer; a refusal becomes one of our errors, with Google's code and words. An operation
    with errors is an answer like any other."""

    def parse_body(self) -> Any:
        """The JSON, or the text of an answer in many parts."""
        connection: Any = self.connection
        body = str(self.body or "")
        if self.status >= 400:
            raise refusal(body, self.status, connection.context.get("call", "the call"))
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

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """JSON, unless the request says otherwise."""
        return {"Content-Type": "application/json", **headers}

    def encode_data(self, data: Any) -> str:
        """JSON, unless it is text already."""
        return data if isinstance(data, str) else json.dumps(data)

    def morph_action_hook(self, action: str) -> str:
        """Paths are given whole."""
        return action


class Bearer:
    """What libcloud asks for a token."""

    def __init__(self, token: Callable[[], str]) -> None:
        """`token` is asked before every request."""
        self._token = token

    @property
    def access_token(self) -> str:
        """A valid one."""
        return self._token()


def refusal(body: str, status: int, call: str) -> ProviderError:
    """The typed error for the body of a refused call."""
    try:
        said = msgspec.json.decode(body, type=RefusalBody).error
    except msgspec.DecodeError:
        return refused(f"HTTP {status}", " ".join(body.split())[:200] or "no words", status, call)
    return refused(said.word, said.message, status, call)
