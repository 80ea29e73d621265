"""What the checks' settings say about text: that it contains this, that it matches that."""

from __future__ import annotations

import re


def expression(key: str, text: str) -> re.Pattern[str]:
    """A regular expression of Python's; `^` and `$` match at every line.

    Raises ValueError that names the key when it is none.
    """
    try:
        return re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{key}: {text!r} is not a regular expression: {error}") from error


def missing(text: str, *, contains: str = "", matches: str = "") -> str:
    """What a text lacks of what it should have; empty when it lacks nothing."""
    if contains not in text:
        return repr(contains)
    return "" if expression("matches", matches).search(text) else f"a match of {matches!r}"


def absolute(key: str, path: str) -> None:
    """Refuse a path that depends on where a command runs. Raises ValueError."""
    if not path.startswith("/"):
        raise ValueError(f"{key}: {path!r} is not an absolute path; begin it with /")
