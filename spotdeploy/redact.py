"""Taking the values of secrets out of everything that is shown or kept.

A secret is not looked for in every spelling it may have. The text is undone of its spellings, one
view of it after another, and what is found in a view is taken out of the text where it stands.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast

import msgspec

from spotdeploy.spelling import hex_view, joined, views
from spotdeploy.text import REDACTED

SHORTEST: Final = 4
"""Shorter values are left alone: a password of "1" would take every 1 out of the evidence."""
PIECE: Final = 6
"""Characters of a secret that was cut in two, from which on the half at the end of a text goes."""
_DANGLING: Final = 9
"""Characters that may be left of a spelling that was cut in two, such as of `\\U0001f600`."""
_GRAM: Final = 8
_LONG: Final = 2 * _GRAM - 1
"""So many characters hold a whole gram, wherever the text is divided into grams."""
_QUANTUM: Final = re.compile(
    rb"[A-Za-z0-9+/_-]{0,4}={1,2}|[A-Za-z0-9+/_-]{1,3}(?![A-Za-z0-9+/_-])|[A-Za-z0-9+/_-]"
)
"""What of a base64 text stands behind the last character that is a secret's alone."""
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_SHAPES: Final = (
    ("://", re.compile(r"(://[^\s:/?#@'\"<>]*:)[^\s/?#'\"<>]+(?=@)")),
    ("earer ", re.compile(r"(\b[Bb]earer )[A-Za-z0-9._~+/=-]{8,}")),
    ("asic ", re.compile(r"(\b[Bb]asic )(?=[^\s]*[A-Z0-9=])[A-Za-z0-9+/=_-]{8,}")),
    (
        "PRIVATE KEY-----",
        re.compile(
            r"()-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+(?:-----END [A-Z ]*PRIVATE KEY-----)?"
        ),
    ),
    ("AKIA", re.compile(r"()\bAKIA[A-Z0-9]{16}\b")),
    ("ASIA", re.compile(r"()\bASIA[A-Z0-9]{16}\b")),
)
"""What is a secret by its form, whoever's it is, each with a part that every such text has: the
password in a URL, what stands behind Bearer and Basic, a private key, the id of an AWS key."""
T = TypeVar("T")
Span = tuple[int, int]


class Redactor:
    """Replaces secrets by "[redacted]", in the spellings in which programs print them.

    These are, nested in each other up to three times: as it is, line by line, with terminal escapes
    in between, percent-encoding, the escapes of JSON, of HTML, of shells, of Python and of systemd;
    and base64 (of a text around it too, wrapped, URL-safe) and hex, each also in pieces. What is a
    secret by its form goes as well.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        values = sorted({value for value in values if len(value.strip()) >= SHORTEST})
        self._plain = _Needles(form for value in values for form in _written(value))
        sources = [form for value in values for form in _encoded(value)]
        self._base64 = _Needles((core for form in sources for core in _cores(form)), pieces=True)
        self._hex = _Needles((form.hex().encode() for form in sources), pieces=True)
        self._any = bool(values)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._taken_out(text, cut=False)

    def excerpt(self, text: str) -> str:
        """Text that may have been cut out of a longer one: of a secret that was cut in two, the
        half at its beginning or end goes as well."""
        return self._taken_out(text, cut=True)

    def anything(self, value: T) -> T:
        """The same value, without secrets in any of its texts: structs, dataclasses, tuples,
        lists and mappings are walked."""
        return cast("T", self._walk(value))

    def _taken_out(self, text: str, *, cut: bool) -> str:
        if self._any and len(text) >= SHORTEST:
            data = text.encode("utf-8", "surrogatepass")
            if spans := _united(data, self._spans(data, cut=cut)):
                ends = [0, *(end for span in spans for end in span), len(data)]
                kept = zip(ends[::2], ends[1::2], strict=True)
                text = REDACTED.join(data[a:b].decode("utf-8", "surrogatepass") for a, b in kept)
        for part, form in _SHAPES:
            if part in text:
                text = form.sub(rf"\g<1>{REDACTED}", text)
        return text

    def _spans(self, data: bytes, *, cut: bool) -> Iterator[Span]:
        for view in views(data):
            for start, end in self._plain.found(view.data, cut=cut):
                yield view.place(start, end)
            hexed, based = hex_view(view), joined(view)
            for start, end in self._hex.found(hexed.data, cut=cut):
                yield hexed.place(start, end)
            for start, end in self._base64.found(based.data, cut=cut):
                yield view.place(*_quanta(view.data, *based.within(start, end)))

    def _walk(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple | list):
            return type(value)(map(self._walk, value))
        if isinstance(value, Mapping):
            return {key: self._walk(one) for key, one in value.items()}
        if isinstance(value, msgspec.Struct):
            fields = msgspec.structs.asdict(value)
            return msgspec.structs.replace(value, **{k: self._walk(v) for k, v in fields.items()})
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return dataclasses.replace(
                value, **{name: self._walk(getattr(value, name)) for name in names}
            )
        return value


class _Needles:
    """Texts that are looked for in one kind of view, all at once."""

    def __init__(self, needles: Iterable[bytes], *, pieces: bool = False) -> None:
        """With `pieces`, parts of long needles count, wherever they stand."""
        found = {needle for needle in needles if len(needle) >= SHORTEST}
        self._all = sorted(found)
        self._halves_known = {
            needle[at : at + PIECE] for needle in self._all for at in range(len(needle) - PIECE + 1)
        }
        self._short = [needle for needle in self._all if len(needle) < _LONG]
        self._pieces = pieces
        self._grams: dict[bytes, list[tuple[bytes, int]]] = {}
        for needle in self._all:
            if len(needle) >= _LONG:
                self._divide(needle)

    def found(self, data: bytes, *, cut: bool) -> Iterator[Span]:
        """Where they stand; with `cut`, also the halves at the beginning and the end."""
        for needle in self._short:
            at = data.find(needle)
            while at >= 0:
                yield at, at + len(needle)
                at = data.find(needle, at + 1)
        if self._grams:
            yield from self._found_by_grams(data)
        if cut and len(data) >= PIECE:
            yield from self._halves(data)

    def _divide(self, needle: bytes) -> None:
        """Note the parts by which it is found in a text that is divided into such parts."""
        for offset in range(len(needle) - _GRAM + 1 if self._pieces else _GRAM):
            places = self._grams.setdefault(needle[offset : offset + _GRAM], [])
            if len([one for one, _ in places if one is needle]) < _GRAM:
                places.append((needle, offset))

    def _found_by_grams(self, data: bytes) -> Iterator[Span]:
        grams, done = self._grams, 0
        hits = [
            at for at in range(0, len(data) - _GRAM + 1, _GRAM) if data[at : at + _GRAM] in grams
        ]
        for at in hits:
            for needle, offset in grams[data[at : at + _GRAM]] if at >= done else ():
                start, end = at - offset, at - offset + len(needle)
                if start >= 0 and data[start:end] == needle:
                    yield start, end
                    done = max(done, end if self._pieces else 0)
                elif self._pieces:
                    start, end = _grown(data, at, needle, offset)
                    if end - start >= _LONG - 3:
                        yield start, end
                        done = max(done, end)

    def _halves(self, data: bytes) -> Iterator[Span]:
        for skipped in range(min(_DANGLING, len(data) - PIECE) + 1):
            end = len(data) - skipped
            for needle, at in self._places(data[skipped : skipped + PIECE]):
                size = min(len(needle) - at, end - skipped)
                whole = at == 0 or b" " in data[:skipped]
                if not whole and data[skipped : skipped + size] == needle[at : at + size]:
                    yield 0, skipped + size
            for needle, at in self._places(data[end - PIECE : end]):
                size = min(at + PIECE, end)
                whole = at + PIECE == len(needle) or b" " in data[end:]
                if not whole and data[end - size : end] == needle[at + PIECE - size : at + PIECE]:
                    yield end - size, len(data)

    def _places(self, piece: bytes) -> Iterator[tuple[bytes, int]]:
        """The needles that hold it, and where."""
        for needle in self._all if piece in self._halves_known else ():
            at = needle.find(piece)
            while at >= 0:
                yield needle, at
                at = needle.find(piece, at + 1)


def _grown(data: bytes, at: int, needle: bytes, offset: int) -> Span:
    """The longest part of the needle that stands around there."""
    back = 0
    while at > back and offset > back and data[at - back - 1] == needle[offset - back - 1]:
        back += 1
    on = _GRAM
    while (
        at + on < len(data) and offset + on < len(needle) and data[at + on] == needle[offset + on]
    ):
        on += 1
    return at - back, at + on


def _written(value: str) -> Iterator[bytes]:
    """How a value stands in a text that was undone of its escapes."""
    whole = value.strip()
    for form in dict.fromkeys((whole, *(line.strip() for line in value.splitlines()))):
        for variant in {
            form,
            "".join(c for c in form if c.isprintable() or c in "\n\t"),
            form.replace(" ", "+"),
            form.replace("'", "''"),
            form.replace('"', '""'),
            form.replace("$", "$$"),
        }:
            yield variant.encode("utf-8", "surrogatepass")
            if any("\x80" <= c <= "\xff" for c in variant):  # as Python's ascii() has them
                yield b"".join(
                    c.encode("latin-1" if c <= "\xff" else "utf-8", "surrogatepass")
                    for c in variant
                )


def _encoded(value: str) -> Iterator[bytes]:
    """What of a value is encoded as base64 or hex: it, its lines, and itself within JSON."""
    whole = value.strip()
    forms = (whole, json.dumps(whole)[1:-1], *(line.strip() for line in value.splitlines()))
    for form in dict.fromkeys(forms):
        if len(form) >= SHORTEST:
            yield form.encode("utf-8", "surrogatepass")


def _cores(data: bytes) -> Iterator[bytes]:
    """Of each of the three ways in which base64 can divide it, the characters that depend on
    nothing before and behind it."""
    for before in range(3):
        code = base64.b64encode(b"\0" * before + data + b"\0\0")
        yield code[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def _quanta(data: bytes, start: int, end: int) -> Span:
    """A part of a base64 text and the characters beside it that hold bits of the secret too."""
    if start > 0 and data[start - 1] in _BASE64:
        start -= 1
    rest = _QUANTUM.match(data, end)
    return start, rest.end() if rest else end


def _whole_characters(data: bytes, start: int, end: int) -> Span:
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end


def _united(data: bytes, spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch as one."""
    united: list[Span] = []
    for start, end in sorted(_whole_characters(data, *span) for span in spans):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united
