"""`http`: a request gets the right answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from spotdeploy.check import CheckResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Manifest
from spotdeploy.text import plain
from spotdeploy_checks.answer import LIMIT, Answer, Exchange
from spotdeploy_checks.jsonpaths import differences
from spotdeploy_checks.local import missing_here
from spotdeploy_checks.matching import expression, missing
from spotdeploy_checks.ports import PortCheck, PortSettings, Tls, exchange
from spotdeploy_checks.tls import context

_PATH: Final = re.compile(r"/[!-~]*")
_HOST: Final = re.compile(
    r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,12}|\[[0-9A-Fa-f:.]{2,45}\]"
)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name: https://www.rfc-editor.org/rfc/rfc9110#name-tokens"""


class HttpSettings(PortSettings, frozen=True, kw_only=True):
    """The keys of an `http` check."""

    path: str = "/"
    """With its query, if it has one."""
    scheme: Literal["http", "https"] = "http"
    """`https` speaks TLS."""
    host: str = "localhost"
    """The server's name, in the header Host and in TLS: its certificate must be for it."""
    ca: str = ""
    """Of https: a file of certificates as PEM, relative to spotdeploy.toml, that are trusted in
    place of this computer's. The server's own may be among them."""
    verify: bool = True
    """Of https: whether the certificate is looked at."""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    """The status that the answer must have."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Sent with the request. A Host among them is sent in the place of `host`."""
    contains: str = ""
    """Text that the body must have."""
    matches: str = ""
    """A regular expression that the body must match."""
    json: dict[str, Any] = msgspec.field(default_factory=dict)
    """Dotted paths in a JSON body, and the values they must have."""
    timeout: Duration = Duration("10s")
    """For the whole answer."""

    def __post_init__(self) -> None:
        """Refuse what would not make a request, and an expression that does not compile, too."""
        PortSettings.__post_init__(self)
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"path: {self.path!r} should begin with / and have no spaces")
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"headers: {name!r} is not the name of a header")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"headers.{name}: has characters that no header may have")
        if not _HOST.fullmatch(self.host):
            raise ValueError(f"host: {self.host!r} is not the name of a server")
        if self.scheme == "http" and (self.ca or not self.verify):
            raise ValueError(f'{"ca" if self.ca else "verify"}: is for scheme = "https"')
        if self.ca and not self.verify:
            raise ValueError("ca: nothing is held against it with verify = false")
        try:
            Exchange(self.path, self.host, self.headers)
        except ValueError as error:
            raise ValueError(f"headers: {error}") from error
        expression("matches", self.matches)


class HttpCheck(PortCheck[HttpSettings]):
    """GET, and compare status and body."""

    kind = "http"
    Settings = HttpSettings

    def title(self) -> str:
        return f"{self.settings.scheme} {self.where(self.settings.path)}"

    def files(self) -> Sequence[Path]:
        return (self._ca,) if self.settings.ca else ()

    def objection(self, manifest: Manifest) -> str:
        """A file of certificates that is missing, or is none."""
        del manifest
        if not self.settings.ca:
            return ""
        if message := missing_here("ca", self.folder, [self.settings.ca]):
            return message
        try:
            context(str(self._ca), verify=True)
        except ValueError as error:
            return f"ca: {self.settings.ca} {error}"
        return ""

    async def ask(self, connection: Connection, host: str | None) -> CheckResult:
        expected = self.settings
        asked = Exchange(expected.path, expected.host, expected.headers)
        try:
            tls = self._tls
            async with asyncio.timeout(expected.timeout):
                await exchange(
                    connection,
                    expected.port,
                    host,
                    asked.request,
                    asked.take,
                    LIMIT,
                    tls,
                )
            answer = asked.answer()
        except TimeoutError:
            return self.failed(f"no answer within {expected.timeout}")
        except (OSError, ValueError) as error:
            return self.failed(plain(str(error), limit=300) + self._hint(asked))
        wrong = judge(answer, expected)
        return self.failed(wrong) if wrong else self.passed(f"status {answer.status}")

    @property
    def _ca(self) -> Path:
        return self.folder / Path(self.settings.ca).expanduser()

    @cached_property
    def _tls(self) -> Tls | None:
        """Read once, as reading this computer's certificates takes long."""
        expected = self.settings
        if expected.scheme == "http":
            return None
        ca = str(self._ca) if expected.ca else ""
        return context(ca, verify=expected.verify), expected.host.strip("[]")

    def _hint(self, asked: Exchange) -> str:
        tls = self.settings.scheme == "http" and asked.may_be_tls
        return ' (if it speaks TLS: scheme = "https")' if tls else ""


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
