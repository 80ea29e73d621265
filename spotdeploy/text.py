"""Making text from nodes harmless: no terminal escapes, no control characters, bounded."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]+[0-~]|[@-Z\\^_a-z0-9=>])?"
)
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
"""Half of a character: JSON may carry one, and no encoding takes it."""
CUT: Final = "... (cut)"
REDACTED: Final = "[redacted]"
"""What stands in the place of a secret."""


def plain(text: str, *, limit: int = 4000) -> str:
    """The text without escapes and control characters (newlines and tabs stay), stripped of
    space at its ends, and cut to `limit` characters."""
    text = _ESCAPE.sub("", text[: 4 * limit + 4096].replace("\r\n", "\n"))
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text)).strip()
    return text if len(text) <= limit else text[: max(0, limit - len(CUT))] + CUT


def below(text: str, *, limit: int, indent: str = "      ") -> str:
    """The plain text as the rest of a line of ours: its further lines are indented, so that none
    can be taken for one that spotdeploy says."""
    return plain(text, limit=limit).replace("\n", f"\n{indent}")


def counted(count: int, noun: str) -> str:
    """A number of things, for people: "1 node", "3 nodes"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
