"""`http`: a request gets the right answer."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.answer import LIMIT, Answer, complete, parse
from spotdeploy_checks.jsonpaths import differences
from spotdeploy_checks.matching import expression, missing
from spotdeploy_checks.ports import Port, Side, exchange, place

_PATH: Final = re.compile(r"/[!-~]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name: https://www.rfc-editor.org/rfc/rfc9110#name-tokens"""


class HttpSettings(CheckSettings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The keys of an `http` check."""

    port: Port
    """The TCP port that is asked."""
    path: str = "/"
    """With its query, if it has one."""
    from_: Side = "node"
    """Who asks: the node itself through ssh, so the port may be closed to the outside; or `here`,
    this computer, so the port must be open to it."""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    """The status that the answer must have."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Sent with the request. Host is `localhost` when it is not given here."""
    contains: str = ""
    """Text that the body must have."""
    matches: str = ""
    """A regular expression that the body must match."""
    json: dict[str, Any] = msgspec.field(default_factory=dict)
    """Dotted paths in a JSON body, and the values they must have."""
    timeout: Duration = Duration("10s")
    """For the whole answer."""

    def __post_init__(self) -> None:
        """Refuse what would not make a request, and an expression that does not compile."""
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"path: {self.path!r} should begin with / and have no spaces")
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"headers: {name!r} is not the name of a header")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"headers.{name}: has characters that no header may have")
        expression("matches", self.matches)


class HttpCheck(Check[HttpSettings]):
    """GET, and compare status and body."""

    kind = "http"
    Settings = HttpSettings

    def title(self) -> str:
        here = " from here" if self.settings.from_ == "here" else ""
        return f"http {place(self.settings.port, 'node')}{self.settings.path}{here}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        expected = self.settings
        say = request(expected.path, expected.headers)
        try:
            async with asyncio.timeout(expected.timeout):
                raw = await exchange(
                    connection, expected.port, expected.from_, say, complete, LIMIT
                )
        except TimeoutError:
            return self.failed(f"no answer within {expected.timeout}")
        except OSError as error:
            return self.failed(plain(str(error), limit=300))
        try:
            answer = parse(raw)
        except ValueError as error:
            return self.failed(str(error))
        wrong = judge(answer, expected)
        return self.failed(wrong) if wrong else self.passed(f"status {answer.status}")


def request(path: str, headers: dict[str, str]) -> bytes:
    """The bytes of a GET that asks for the connection to be closed after the answer."""
    named = {name.lower() for name in headers}
    usual = {"Host": "localhost", "User-Agent": "spotdeploy", "Accept": "*/*"}
    fields = {name: value for name, value in usual.items() if name.lower() not in named}
    lines = [f"{name}: {value}" for name, value in {**fields, **headers}.items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""]).encode()


def judge(answer: Answer, expected: HttpSettings) -> str:
    """What is wrong with an answer, in one line or a few; empty when it is as wanted."""
    body = plain(answer.body, limit=300)
    if answer.status != expected.status:
        output = " ".join(filter(None, (str(answer.status), answer.reason)))
        leads = f" (leads to {answer.location})" if answer.location else ""
        return f"status {output}, not {expected.status}{leads}: {body}"
    if lack := missing(answer.body, contains=expected.contains, matches=expected.matches):
        cut = f"'s first {LIMIT} bytes" if answer.cut else ""
        return f"the body{cut} has no {lack.removeprefix('a ')}: {body}"
    if expected.json and answer.cut:
        return f"the body is larger than {LIMIT} bytes: too large to be read as JSON"
    return differences(answer.body, expected.json) if expected.json else ""
