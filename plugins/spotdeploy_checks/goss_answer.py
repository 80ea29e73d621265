"""What `goss validate --format json` answers, as its releases from 0.3 on write it.

They differ in how a test tells that it failed: `result` is 1 in all of them, while `successful` is
false for skipped tests in some and for all tests in others
(https://github.com/goss-org/goss/pull/841). What was found is in `found` and `expected` up to 0.3,
and in `matcher-result` from 0.4 on; each test's `summary-line` has it in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from spotdeploy.text import plain

_FAILED: Final = (1, "FAIL")
_SKIPPED: Final = (2, "SKIP")


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of all tests of a goss file."""

    passed: int
    skipped: int
    failed: int
    """As goss counts, or as many as are listed, whichever is more."""
    reasons: tuple[str, ...]
    """Of each failed test: what it is about, and what was found."""


class _Summary(msgspec.Struct, frozen=True, rename="kebab"):
    test_count: int
    failed_count: int


class _Answer(msgspec.Struct, frozen=True):
    summary: _Summary
    results: list[dict[str, Any]] | None = None


def parse(output: str) -> Report | None:
    """The report in goss's output, which may have other lines before it; None without one."""
    answer = _decode(output)
    if answer is None:
        return None
    rows = answer.results or []
    bad = [row for row in rows if _failed(row)]
    skipped = sum(_skipped(row) for row in rows)
    failed = max(len(bad), answer.summary.failed_count)
    return Report(
        passed=max(0, min(len(rows), answer.summary.test_count) - failed - skipped),
        skipped=skipped,
        failed=failed,
        reasons=tuple(map(reason, bad)),
    )


def reason(row: Mapping[str, Any]) -> str:
    """What a failed test is about and what was found, in one line."""
    keys = ("resource-type", "resource-id", "property")
    named = ": ".join(_line(row.get(key) or "?", limit=100) for key in keys)
    return f"{named}: {_found(row, named)}"


def _found(row: Mapping[str, Any], named: str) -> str:
    """In goss's own words; in its line for people, the name comes first."""
    matched = row.get("matcher-result")
    message = matched.get("message") if isinstance(matched, dict) else None
    line = _line(row.get("summary-line") or message or row.get("err") or "failed", limit=400)
    return line.removeprefix(named).lstrip(": ")


def _line(value: object, *, limit: int) -> str:
    return " ".join(plain(str(value), limit=limit).split())


def _decode(output: str) -> _Answer | None:
    begin = output.find("{")
    if begin < 0:
        return None
    try:
        return msgspec.json.decode(output[begin:], type=_Answer)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _failed(row: Mapping[str, Any]) -> bool:
    if "result" in row:
        return row["result"] in _FAILED
    return row.get("successful") is not True and not _skipped(row)


def _skipped(row: Mapping[str, Any]) -> bool:
    return row.get("skipped") is True or row.get("result") in _SKIPPED
