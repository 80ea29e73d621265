"""Comparing a JSON body with dotted paths and the values they should have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spotdeploy.text import plain

_NOTHING: Final = object()


def differences(body: str, expected: Mapping[str, Any]) -> str:
    """What in a JSON body is not as wanted, in one line; empty when all is.

    A step of a path is a key, or the index of a list. A table in `wanted` stands for its paths.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return f"the body is not JSON: {plain(body, limit=200)}"
    wrong = []
    for path, value in _paths(expected):
        found = _at(data, path)
        if found is _NOTHING:
            wrong.append(f"{path} is missing")
        elif not _same(found, value):
            wrong.append(f"{path} is {plain(repr(found), limit=200)}, not {value!r}")
    return "; ".join(wrong)


def _paths(expected: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in expected.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _at(data: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(data, dict):
            data = data.get(step, _NOTHING)
        elif isinstance(data, list) and step.isdecimal() and len(step) < 10:
            data = data[int(step)] if int(step) < len(data) else _NOTHING
        else:
            return _NOTHING
    return data


def _same(found: Any, expected: Any) -> bool:
    """Equal, and true is not 1, as Python has it."""
    if isinstance(found, list) and isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)
