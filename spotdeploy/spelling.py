"""Texts undone of the escapes and encodings in which programs print them."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Final

DEEPEST: Final = 3
"""How deep spellings are nested at most: JSON in JSON in a URL."""
LARGE: Final = 1 << 18
"""Bytes of a text from which on only `DEEPEST_OF_LARGE` count: each level takes as long again."""
DEEPEST_OF_LARGE: Final = 2
_TERMINAL: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    rb"|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]+[0-~]|[@-Z\\^_a-z0-9=>])?"
    rb"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]+|\xc2[\x80-\x9f]|\xd8\x9c"
    rb"|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""What `spotdeploy.text.plain` takes out, in UTF-8."""
_TERMINAL_BYTES: Final = bytes([*range(0x09), *range(0x0B, 0x20), 0x7F])
_TERMINAL_STARTS: Final = (b"\xc2", b"\xd8\x9c", b"\xe2\x80", b"\xe2\x81")
_SPELLINGS: Final = (
    re.compile(
        rb"\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
        rb"|u\{[0-9A-Fa-f]{1,6}\}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|[abefnrtvE]"
        rb"|[!-/:-@\[-`{-~ ])"
    ),
    re.compile(rb"%[0-9A-Fa-f]{2}"),
    re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"),
    re.compile(rb"'(?:\\''|\"'\"')"),
)
"""Each a kind of spelling: backslashes, percent-encoding, HTML, an apostrophe between those of a
shell. A program writes in one kind at a time, and leaves alone what looks like another."""
_LETTERS: Final = dict(zip(b"abefnrtvE", b"\x07\x08\x1b\x0c\n\r\t\x0b\x1b", strict=True))
_BLANKS: Final = b" \t\r\n"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_LOWER: Final = bytes.maketrans(b"ABCDEF", b"abcdef")
_BETWEEN_HEX: Final = _BLANKS + b":-,"
Edit = tuple[int, int, int, int]
"""Where something stands in a view, from and to, and where in what the view was made of."""


class View:
    """A text as bytes, and where each part of it stands in the text at the bottom."""

    def __init__(
        self,
        data: bytes,
        below: View | None = None,
        edits: Callable[[], list[Edit]] = list,
    ) -> None:
        """`edits` are what distinguishes it from the view `below`, in order; asked for when
        something is found."""
        self.data = data
        self._below = below
        self._edits = edits

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where a part, which is not empty, stands in the text at the bottom."""
        if self._below is None:
            return start, end
        return self._below.place(*self.within(start, end))

    def within(self, start: int, end: int) -> tuple[int, int]:
        """Where a part stands in the view below."""
        return self._byte(start)[0], self._byte(end - 1)[1]

    def _byte(self, index: int) -> tuple[int, int]:
        edits, starts = self._table
        at = bisect_right(starts, index) - 1
        if at < 0:
            return index, index + 1
        _, end, below_start, below_end = edits[at]
        if index < end:
            return below_start, below_end
        return below_end + index - end, below_end + index - end + 1

    @cached_property
    def _table(self) -> tuple[list[Edit], list[int]]:
        edits = self._edits()
        return edits, [edit[0] for edit in edits]


def views(data: bytes) -> Iterator[View]:
    """The text itself, the text freed of terminal escapes, and what comes of undoing one kind of
    spelling after another. A view that is the same as another one is left out."""
    level = [View(data)]
    if _has_terminal(data) and (stripped := _undone(level[0], _TERMINAL, lambda _: b"")):
        level.append(stripped)
    yield from level
    known = {view.data for view in level}
    level = level[-1:]
    for _ in range(DEEPEST if len(data) < LARGE else DEEPEST_OF_LARGE):
        undone = [_undone(view, kind, _meaning) for view in level for kind in _SPELLINGS]
        level = []
        for view in undone:
            if view is not None and view.data not in known:
                known.add(view.data)
                level.append(view)
                yield view


def joined(view: View) -> View:
    """The view without blanks and line ends, in base64's usual alphabet."""
    return _squeezed(view, _URL_SAFE, _BLANKS)


def hex_view(view: View) -> View:
    """The view without what stands between the bytes of a hex dump, in lower case."""
    return _squeezed(view, _LOWER, _BETWEEN_HEX)


def _has_terminal(data: bytes) -> bool:
    plain = data.translate(None, _TERMINAL_BYTES)
    return len(plain) < len(data) or any(start in data for start in _TERMINAL_STARTS)


def _squeezed(view: View, table: bytes, dropped: bytes) -> View:
    def edits() -> list[Edit]:
        found, gone = [], 0
        for match in re.finditer(rb"[" + re.escape(dropped) + rb"]+", view.data):
            start, end = match.span()
            found.append((start - gone, start - gone, start, end))
            gone += end - start
        return found

    return View(view.data.translate(table, dropped), view, edits)


def _undone(
    view: View, pattern: re.Pattern[bytes], meaning: Callable[[bytes], bytes | None]
) -> View | None:
    """The view with what matches replaced by what it means; None when nothing does."""
    pieces: list[bytes] = []
    edits: list[Edit] = []
    data, last, length = view.data, 0, 0
    for match in pattern.finditer(data):
        meant = meaning(match[0])
        if meant is None:
            continue
        start, end = match.span()
        length += start - last
        edits.append((length, length + len(meant), start, end))
        pieces += (data[last:start], meant)
        length += len(meant)
        last = end
    if not edits:
        return None
    pieces.append(data[last:])
    return View(b"".join(pieces), view, lambda: edits)


@lru_cache(maxsize=4096)
def _meaning(escape: bytes) -> bytes | None:
    """What an escape stands for; None for none. Those of bytes give a byte, the others UTF-8."""
    kind, rest = escape[:1], escape[1:]
    if kind == b"%":
        return bytes([int(rest, 16)])
    if kind == b"'":
        return b"'"
    if kind == b"&":
        text = html.unescape(escape.decode())
        return None if text.encode() == escape else text.encode("utf-8", "surrogatepass")
    letter = rest[:1]
    if letter in b"uU" and len(rest) > 1:
        return _character(rest)
    if letter == b"x":
        return bytes([int(rest[1:], 16)])
    if letter.isdigit():
        return bytes([int(rest, 8) & 0xFF])
    return bytes([_LETTERS.get(letter[0], letter[0])])


def _character(escape: bytes) -> bytes | None:
    """`u00e9`, `u{e9}`, `U000000e9`, or two halves: `ud83d\\ude00`."""
    codes = [int(part.strip(b"{}"), 16) for part in re.split(rb"\\?[uU]", escape)[1:]]
    code = (
        codes[0] if len(codes) == 1 else 0x10000 + (codes[0] - 0xD800) * 0x400 + codes[1] - 0xDC00
    )
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else None
