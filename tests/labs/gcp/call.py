"""A call that arrived, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.labs.gcp.discovery import Match

PARTIAL = "returnPartialSuccess"
Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of one method."""

    match: Match
    query: Mapping[str, str]
    body: Any
    version: str = ""
    """The dated version of the API that is asked for; "" is the one without a date."""

    @property
    def method(self) -> str:
        """As in `compute.instances.get`."""
        return self.match.id

    @property
    def takes_parts(self) -> bool:
        """Whether a listing without what cannot be reached will do. With a dated version it always
        does; else `returnPartialSuccess` says so, which dated versions no longer have:
        https://github.com/googleapis/google-cloud-python/releases/tag/google-cloud-compute-v1.55.0
        """
        return bool(self.version) or self.query.get(PARTIAL) == "true"

    @property
    def documented(self) -> Mapping[str, str]:
        """The query without what the discovery document, which is of a dated version, lacks."""
        undated = not self.version and self.query.get(PARTIAL) in ("true", "false")
        return {k: v for k, v in self.query.items() if not (undated and k == PARTIAL)}

    def name(self, placeholder: str) -> str:
        """What fills a placeholder of the path."""
        return self.match.names[placeholder]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


DROPPED = Reply(0, b"")
"""No answer: the connection is closed."""


@dataclass
class GoogleError(Exception):
    """A refusal as the API words it: https://cloud.google.com/apis/design/errors"""

    status: int
    reason: str
    words: str
    details: list[Json] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    def reply(self) -> Reply:
        """The answer."""
        one = {"message": self.words, "domain": "global", "reason": self.reason}
        error = {"code": self.status, "message": self.words, "errors": [one]}
        if self.details:
            error["details"] = self.details
        return replace(answer({"error": error}, self.status), headers=self.headers)


def answer(body: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(body).encode())


def missing(what: str) -> GoogleError:
    """The refusal for a thing that is not there; `what` is its path below `/compute/v1/`."""
    return GoogleError(404, "notFound", f"The resource '{what}' was not found")
