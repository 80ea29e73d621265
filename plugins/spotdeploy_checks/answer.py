"""Reading an HTTP/1.1 answer from bytes, with the standard library's parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from io import BytesIO
from socket import socket
from typing import Final, cast

from spotdeploy.text import plain

LIMIT: Final = 1 << 20
"""Bytes of an answer that are read, head and body together."""
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r?$")
_CHUNKED: Final = re.compile(rb"(?im)^transfer-encoding:.*\bchunked[ \t]*\r?$")


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


def complete(raw: bytes) -> bool:
    """Whether the whole answer is there, by its own account. An answer that does not say how
    long it is ends when the server closes."""
    head, ended, body = raw.partition(b"\r\n\r\n")
    if not ended:
        return False
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n") and _ends_well(raw)
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


def parse(raw: bytes) -> Answer:
    """The answer in `raw`. Raises ValueError when it is none, or was cut short by the server."""
    answer = HTTPResponse(cast("socket", _Heard(raw)), method="GET")
    cut = False
    try:
        answer.begin()
        try:
            body = answer.read()
        except IncompleteRead as error:
            if len(raw) < LIMIT:
                raise ValueError(f"the answer was cut short: {_seen(raw)}") from error
            body, cut = error.partial, True
    except HTTPException as error:
        raise ValueError(f"it does not speak HTTP: {_seen(raw)}") from error
    return Answer(
        answer.status,
        plain(answer.reason, limit=80),
        plain(answer.getheader("Location") or "", limit=200),
        body.decode(errors="replace"),
        cut or len(raw) >= LIMIT,
    )


def _ends_well(raw: bytes) -> bool:
    try:
        parse(raw)
    except ValueError:
        return False
    return True


def _seen(raw: bytes) -> str:
    if not raw:
        return "it closed the connection without a word"
    return repr(plain(raw[:400].decode(errors="replace"), limit=200))


class _Heard:
    """The one thing that `HTTPResponse` wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        del mode
        return BytesIO(self._data)
