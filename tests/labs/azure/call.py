"""A call that arrived, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of one operation."""

    operation: str
    """As in `PUT resourcegroups/{}`."""
    names: Mapping[str, str]
    """What fills the placeholders of the path."""
    query: Mapping[str, str]
    body: Any
    url: str
    """Scheme, host and port that the client used."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


DROPPED = Reply(0)
"""No answer: the connection is closed."""


@dataclass
class ArmError(Exception):
    """A refusal as the Resource Manager words it."""

    status: int
    code: str
    words: str
    details: list[Json] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    target: str = ""

    @property
    def json(self) -> Json:
        """The error itself."""
        error: Json = {"code": self.code, "message": self.words}
        error |= {"target": self.target} if self.target else {}
        return error | ({"details": self.details} if self.details else {})

    def reply(self) -> Reply:
        """The answer."""
        return answer({"error": self.json}, self.status, self.headers)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(body).encode(), headers or {})
