"""The filter expressions of listings, as far as the API documents them.

https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.labs.gcp.call import GoogleError

Test = Callable[[dict[str, Any]], bool]
_HAS = re.compile(r"([\w.-]+):\*")
_EXACT = re.compile(r'\(?([\w.-]+)\s*(=|!=)\s*"([^"]*)"\)?')
_REGEX = re.compile(r"""\(?([\w.-]+)\s+(eq|ne)\s+(?:"([^"]*)"|'([^']*)'|(\S+?))\)?""")


def chosen(items: Sequence[dict[str, Any]], expression: str) -> list[dict[str, Any]]:
    """The items that match. Raises GoogleError for an expression that the API would not take."""
    test = compiled(expression)
    return [item for item in items if test(item)]


def compiled(expression: str) -> Test:
    """The expression as a function."""
    expression = expression.strip()
    if not expression:
        return lambda _: True
    if _REGEX.fullmatch(expression):
        return _regex(expression)
    alternatives = [_all(part) for part in re.split(r"\s+OR\s+", expression)]
    return lambda item: any(test(item) for test in alternatives)


def _all(expression: str) -> Test:
    parts = re.findall(r"\([^)]*\)|[^()]+", re.sub(r"\)\s*(?:AND)?\s*\(", ")(", expression))
    tests = [_exact(part.strip()) for part in parts if part.strip()]
    return lambda item: all(test(item) for test in tests)


def _exact(part: str) -> Test:
    if has := _HAS.fullmatch(part.strip("() ")):
        return lambda item: _get(item, has[1]) != ""
    found = _EXACT.fullmatch(part)
    if not found:
        raise _invalid(part)
    field, operator, value = found.groups()
    return lambda item: (_get(item, field) == value) is (operator == "=")


def _regex(part: str) -> Test:
    found = _REGEX.fullmatch(part)
    if not found:
        raise _invalid(part)
    field, operator, *values = found.groups()
    pattern = re.compile(next(value for value in values if value is not None))
    return lambda item: bool(pattern.fullmatch(_get(item, field))) is (operator == "eq")


def _get(item: dict[str, Any], field: str) -> str:
    value: Any = item
    for part in field.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _invalid(part: str) -> GoogleError:
    return GoogleError(400, "invalid", f"Invalid value for field 'filter': '{part}'.")
