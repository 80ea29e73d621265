"""The page of a live test, which a user can send: what was promised, what was seen.

Nothing in it says whose account it was: ids, addresses and names are taken out.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final

from spotdeploy.duration import spell
from spotdeploy.live.findings import Answer, Findings, Timing
from spotdeploy.text import plain

_COLONS: Final = re.compile(r"[0-9a-f:]*:[0-9a-f:]+", re.IGNORECASE)
SHORTEST: Final = 4
"""Shorter names are left alone: they would be found in other words."""
SLACK: Final = 3.0
"""Seconds that a first look may come late by itself."""
ROOM: Final = 1.5
"""The longest listing seen, times this, is what a page advises to allow for."""
_PATTERNS: Final = (
    (re.compile(r"\barn:[\w-]+:[^\s\"',)]+"), "<arn>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (
        re.compile(
            r"\b(?:projects|subscriptions|resourceGroups|folders|organizations)/[^\s/\"',)]+"
        ),
        "<account>",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?\b"), "<address>"),
    (re.compile(r"\b[a-z]{1,6}-[0-9a-f]{8,17}\b"), "<id>"),
    (re.compile(r"\b\d{10,}\b"), "<number>"),
    (re.compile(r"\b(?=\w*[A-Za-z])(?=\w*\d)[\w+/=-]{40,}"), "<token>"),
)


class Anonymizer:
    """Takes out of text what names an account."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` has what is known to name it, and what stands in its place."""
        known = sorted((one for one in names if len(one) >= SHORTEST), key=len, reverse=True)
        self._names = names
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """The text without names, ids and addresses."""
        if self._known:
            text = self._known.sub(lambda found: self._names[found[0]], text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return _COLONS.sub(lambda found: "<address>" if _is_address(found[0]) else found[0], text)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def names_in(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a provider's table, with its key to stand in its place. Lists are of public
    names: sizes, regions."""
    for key, value in table.items():
        where = f"{place}{key}"
        if isinstance(value, str):
            yield value, f"<{where}>"
        elif isinstance(value, Mapping):
            yield from names_in(value, f"{where}.")


def render(findings: Findings, anonymizer: Anonymizer, now: float | None = None) -> str:
    """The page, as Markdown."""
    return "\n".join(_lines(findings, anonymizer, time.gmtime(now))).rstrip() + "\n"


def _lines(found: Findings, anonymizer: Anonymizer, day: time.struct_time) -> Iterator[str]:
    price = "unknown" if found.usd_per_hour is None else f"{found.usd_per_hour:.4g} USD per hour"
    yield f"# {found.provider}, looked at on a real account\n"
    yield f"Written by `spotdeploy plugins test {found.provider} --live`. What names the account is"
    yield "taken out; read it before you send it.\n"
    yield from _table(
        ("", ""),
        [
            ("spotdeploy", f"{version('spotdeploy')}, Python {platform.python_version()}"),
            ("day", time.strftime("%Y-%m-%d", day)),
            ("location", found.location),
            ("node", f"{found.size}, {found.market}, {price}"),
            ("cost", f"at most {found.max_cost:.2f} USD"),
            ("result", _result(found)),
        ],
    )
    yield "\n## What was promised\n"
    yield from _table(
        ("promise", "answer", "seen"),
        [(one.text, one.answer, anonymizer.text(one.detail)) for one in found.promises],
    )
    yield "\n## How long it took\n"
    yield from _table(("what", "took", "allowed"), map(_timing, found.timings))
    yield f"\nTimes are exact to a second. The provider takes {found.user_data_limit} bytes of"
    yield "user-data, and is asked for as much."
    yield from _advice(found)
    if found.refusals:
        yield "\n## What the cloud refused\n"
        yield from _table(
            ("what", "error", "reach", "code", "message"),
            [
                (one.what, one.error, one.reach, one.code, anonymizer.text(one.message))
                for one in found.refusals
            ],
        )
    if found.left:
        yield "\n## What could not be proven gone\n"
        yield from (f"- {anonymizer.text(one)}" for one in found.left)


def _result(found: Findings) -> str:
    kept = sum(one.answer is Answer.KEPT for one in found.promises)
    told = f"{kept} kept, {len(found.broken)} broken"
    stopped = "; stopped before its end" if found.stopped else ""
    return f"{told}{stopped}; {'something is left' if found.left else 'nothing is left'}"


def _advice(found: Findings) -> Iterator[str]:
    late = [one for one in found.timings if one.what == "a new node is listed"]
    for one in late:
        if one.expected is not None and one.seconds > one.expected + SLACK:
            yield "\nListings are later than the provider says. Until it is mended:\n\n```toml"
            yield f"[provider.{found.provider}]"
            yield f'settle_seconds = "{round(one.seconds * ROOM)}s"\n```'


def _timing(one: Timing) -> tuple[str, str, str]:
    return (
        one.what,
        spell(round(one.seconds, 1)),
        "" if one.expected is None else spell(one.expected),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = (plain(cell, limit=1000).replace("\n", " ").replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
