"""Making text from nodes harmless: no secrets, no terminal escapes, no controls, bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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


_hidden: Final[dict[str, Callable[[str], str]]] = {}


def hide(owner: str, redact: Callable[[str], str]) -> None:
    """From now on take the secrets of `owner` (a project) out of all text that this process shows
    or keeps. `redact` replaces an earlier one of the same owner."""
    _hidden[owner] = redact


def redacted(text: str) -> str:
    """The text without the secrets that are hidden, escapes and all."""
    for redact in tuple(_hidden.values()):
        text = redact(text)
    return text


def plain(text: str, *, limit: int = 4000, strip: bool = True) -> str:
    """The text without secrets, escapes and control characters (newlines and tabs stay), stripped
    of space at its ends (unless told not to), and cut to `limit` characters.

    Secrets go first, out of the raw text: half a secret would not be known for one.
    """
    text = redacted(text) if _hidden else text[: 4 * limit + 4096]
    text = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    text = text.strip() if strip else text
    return text if len(text) <= limit else text[: max(0, limit - len(CUT))] + CUT


def below(text: str, *, limit: int, indent: str = "      ") -> str:
    """The plain text as the rest of a line of ours: its further lines are indented, so that none
    can be taken for one that spotdeploy says."""
    return plain(text, limit=limit).replace("\n", f"\n{indent}")


def inert(json: str) -> str:
    """The same JSON, in which no text can act as a workflow command of GitHub Actions. Those of the
    older form may stand anywhere in a line; those of the newer one begin it, as no JSON does.

    https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    return json.replace("##[", "\\u0023#[")


def counted(count: int, noun: str) -> str:
    """A number of things, for people: "1 node", "3 nodes"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name that is most like this one, or None when none is: 1 is the same, 0 has nothing
    in common."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)
