"""Secrets, and the spellings in which programs print them."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

from spotdeploy.redact import PIECE
from spotdeploy.text import REDACTED

Spelling = Callable[[str], str]


def _base64(
    before: int, width: int, encode: Callable[[bytes], bytes] = base64.b64encode
) -> Spelling:
    """Within a longer text, at one of the three ways to divide it, in lines of that width."""

    def spelled(secret: str) -> str:
        code = encode(b"<" * before + secret.encode() + b"\nmore").decode()
        return "\n".join(textwrap.wrap(code, width, break_on_hyphens=False))

    return spelled


def _journalled(secret: str) -> str:
    code = base64.encodebytes(b"k: " + secret.encode()).decode()
    return "".join(f"Nov 26 21:52:14 host app[7]: {line}\n" for line in code.splitlines())


def _hex(between: str, *, upper: bool = False) -> Spelling:
    def spelled(secret: str) -> str:
        pairs = [f"{byte:02X}" if upper else f"{byte:02x}" for byte in secret.encode()]
        return between.join(pairs)

    return spelled


def _percent_all(secret: str) -> str:
    return "".join(f"%{byte:02x}" for byte in secret.encode())


def _json(secret: str) -> str:
    return json.dumps({"value": secret})


def _ansi_c(secret: str) -> str:
    """As bash prints it: $'...'."""
    return (
        "$'"
        + "".join(c if c.isalnum() else f"\\{ord(c):03o}" if ord(c) < 128 else c for c in secret)
        + "'"
    )


def _backslashed(secret: str) -> str:
    """As bash's printf %q prints what has no control characters."""
    return re.sub(r"([!-/:-@\[-^`{-~ ])", r"\\\1", secret)


SPELLINGS: dict[str, Spelling] = {
    "as it is": str,
    "basic auth": lambda s: f"Authorization: Basic {base64.b64encode(f'me:{s}'.encode()).decode()}",
    **{f"base64, {n} before": _base64(n, 10_000) for n in range(3)},
    **{f"base64 in lines of {w}": _base64(4, w) for w in (64, 76)},
    "base64 in a journal": _journalled,
    "base64 for URLs": _base64(1, 10_000, base64.urlsafe_b64encode),
    "base64 in JSON": lambda s: json.dumps({"data": _base64(2, 64)(s)}),
    "base64 of JSON": lambda s: base64.b64encode(_json(s).encode()).decode(),
    "hex": _hex(""),
    "HEX": _hex("", upper=True),
    "hex with colons": _hex(":"),
    "hex with blanks": _hex(" "),
    "in a URL": lambda s: quote(s, safe=""),
    "in a path": quote,
    "in a query": quote_plus,
    "percent, in small letters": lambda s: quote(s, safe="").lower() if s.islower() else quote(s),
    "percent, every byte": _percent_all,
    "percent, twice": lambda s: quote(quote(s, safe=""), safe=""),
    "JSON": _json,
    "JSON, as it is": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON of PHP": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps({"log": _json(s)}),
    "JSON, every character": lambda s: "".join(
        f"\\u{ord(c):04X}" if ord(c) < 65536 else c for c in s
    ),
    "HTML": html.escape,
    "HTML, in numbers": lambda s: "".join(f"&#{ord(c)};" if not c.isalnum() else c for c in s),
    "HTML, in hex": lambda s: "".join(f"&#x{ord(c):X};" if not c.isalnum() else c for c in s),
    "HTML of JSON": lambda s: html.escape(_json(s)),
    "shell": shlex.quote,
    "shell, with backslash": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "shell, ANSI C": _ansi_c,
    "shell, backslashes": _backslashed,
    "SQL": lambda s: "'" + s.replace("'", "''") + "'",
    "CSV": lambda s: '"' + s.replace('"', '""') + '"',
    "Python": repr,
    "Python, ASCII": ascii,
    "Python, bytes": lambda s: repr(s.encode()),
    "with colours in between": lambda s: "\x1b[1m".join((s[:2], s[2:5], s[5:])) + "\x1b[0m",
    "with NULs in between": "\0".join,
    "with a carriage return": lambda s: s.replace("\n", "\r\n"),
}
WORDS = st.lists(
    st.sampled_from(
        ["<p>", "deployed", "%41", "\\", "&amp;", "\x1b[31m", "=", "é", "\n", "'", '"']
    ),
    max_size=8,
).map(" ".join)
LINE = st.text(
    st.sampled_from("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789")
    | st.sampled_from("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ éüß漢😀"),
    min_size=4,
    max_size=70,
).filter(
    lambda line: len(line.strip()) == len(line) and len(set(line)) >= 4 and line not in REDACTED
)
SECRETS = LINE | st.lists(LINE, min_size=2, max_size=12).map("\n".join)


def pieces(secret: str, size: int = PIECE) -> set[str]:
    """What of a secret may not be seen: each part of a line; a shorter line whole."""
    lines = [line.strip() for line in secret.splitlines()]
    return {
        line[at : at + size] for line in lines for at in range(max(1, len(line) - size + 1))
    } - {""}


def of_code(code: str) -> set[str]:
    """The parts of an encoded secret that may not be seen."""
    return {word[at : at + 12] for word in code.split() for at in range(len(word) - 11)}
