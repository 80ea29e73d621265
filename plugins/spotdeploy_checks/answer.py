"""One GET and its answer, by h11: bytes in, what the server said out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import h11

from spotdeploy.text import plain

LIMIT: Final = 1 << 20
"""Bytes of an answer that are read, head and body together."""
HEAD_LIMIT: Final = 1 << 16
"""Bytes of a head, and of anything else that must be whole before it can be read."""
_SWITCHING: Final = 101
_SEEN: Final = 400
_ALERT: Final = b"\x15\x03"
"""How an alert begins: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    reason: str
    location: str
    body: str
    """Decoded with replacement."""
    cut: bool
    """True when the body goes on beyond `LIMIT`."""


class Exchange:
    """One request, and its answer as it comes."""

    def __init__(self, path: str, host: str, headers: Mapping[str, str]) -> None:
        """Raises ValueError when that makes no request."""
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._response: h11.Response | h11.InformationalResponse | None = None
        self._body = bytearray()
        self._seen = b""
        self._count = 0
        self._problem = ""
        self._complete = False
        self.request = self._say(path, host, headers)
        """The bytes to send. They ask for the connection to be closed after the answer."""

    def take(self, data: bytes) -> bool:
        """Take what came, or nothing at its end. True when no more is wanted."""
        self._seen += data[: _SEEN - len(self._seen)]
        self._count += len(data)
        try:
            self._connection.receive_data(data)
            while not self._complete and self._read(self._connection.next_event()):
                pass
        except h11.ProtocolError as error:
            self._problem = str(error)
        return self._complete or bool(self._problem)

    @property
    def may_be_tls(self) -> bool:
        """Whether a server of TLS would have answered so: with nothing, or with an alert."""
        return not self._seen or self._seen[:2] == _ALERT

    def answer(self) -> Answer:
        """The answer. Raises ValueError when what came is none, or was cut short."""
        full = self._count >= LIMIT
        if self._response is None:
            raise ValueError(self._no_http())
        if not self._complete and not full:
            raise ValueError(f"the answer was cut short: {_shown(self._seen)}")
        found = (value for name, value in self._response.headers if name == b"location")
        return Answer(
            self._response.status_code,
            plain(_text(self._response.reason), limit=80),
            plain(_text(next(found, b"")), limit=200),
            _text(self._body),
            full,
        )

    def _say(self, path: str, host: str, headers: Mapping[str, str]) -> bytes:
        named = {name.lower() for name in headers}
        usual = {"Host": host, "User-Agent": "spotdeploy", "Accept": "*/*"}
        fields = {name: value for name, value in usual.items() if name.lower() not in named}
        every = [*fields.items(), *headers.items(), ("Connection", "close")]
        try:
            request = h11.Request(method="GET", target=path, headers=list(_encoded(every)))
            said = self._connection.send(request) or b""
            return said + (self._connection.send(h11.EndOfMessage()) or b"")
        except h11.ProtocolError as error:
            raise ValueError(str(error)) from error

    def _read(self, event: object) -> bool:
        """Whether there may be more to read in what came."""
        if isinstance(event, h11.Response):
            self._response = event
        elif isinstance(event, h11.InformationalResponse) and event.status_code == _SWITCHING:
            self._response, self._complete = event, True
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._complete = True
        return not (event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed))

    def _no_http(self) -> str:
        if not self._seen:
            return "it closed the connection without a word"
        return f"it does not speak HTTP: {_shown(self._seen)}"


def _encoded(fields: Iterable[tuple[str, str]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode()) for name, value in fields)


def _shown(seen: bytes) -> str:
    return repr(plain(_text(seen), limit=200))


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
