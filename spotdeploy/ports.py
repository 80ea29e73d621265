"""Ports as people write them: 7946, "4222-4223/udp"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FORM: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?", re.ASCII)
HIGHEST: Final = 65535


class PortRange(str):
    """Ports of one protocol, made from a number or from text such as "7946", "4222-4223/udp" or
    "53/udp": TCP unless it says /udp. Its text is the shortest that makes the same one.

    Raises ValueError, with how to write one, for anything else.
    """

    __slots__ = ("first", "last", "protocol")
    first: int
    last: int
    protocol: str
    """`tcp` or `udp`."""

    def __new__(cls, written: object) -> PortRange:
        """Parse what is written."""
        plain = isinstance(written, int | str) and not isinstance(written, bool)
        found = _FORM.fullmatch(str(written)) if plain else None
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if found is None or not 1 <= first <= last <= HIGHEST:
            raise ValueError(
                f"{written!r:.100} is not a port from 1 to {HIGHEST}, nor a range of them; write "
                'it like 7946, "53/udp" or "4222-4223/udp"'
            )
        return cls.of(first, last, found[3] or "tcp")

    @classmethod
    def of(cls, first: int, last: int, protocol: str) -> PortRange:
        """The range with these ends, which are not checked."""
        ports = f"{first}" if first == last else f"{first}-{last}"
        made = super().__new__(cls, ports if protocol == "tcp" else f"{ports}/{protocol}")
        made.first, made.last, made.protocol = first, last, protocol
        return made

    def holds(self, other: PortRange) -> bool:
        """True when all ports of the other range are in this one."""
        alike = self.protocol == other.protocol
        return alike and self.first <= other.first and other.last <= self.last

    @property
    def ports(self) -> str:
        """The ports alone, such as "7946" or "4222-4223"."""
        return self.partition("/")[0]


ALL_PORTS: Final = (
    PortRange.of(1, HIGHEST, "tcp"),
    PortRange.of(1, HIGHEST, "udp"),
)
"""What "all" stands for. A cloud that filters ICMP lets that through too, where these are open."""


def is_all(ranges: Iterable[PortRange]) -> bool:
    """True when these ranges, of which no two touch, are every port there is."""
    return set(ALL_PORTS) <= set(ranges)


def merged(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """The fewest ranges with the same ports, TCP first, each protocol's in order: a cloud may
    refuse a port that is named twice."""
    found: list[PortRange] = []
    for one in sorted(ranges, key=lambda one: (one.protocol, one.first)):
        before = found[-1] if found else None
        if before and before.protocol == one.protocol and one.first <= before.last + 1:
            found[-1] = PortRange.of(before.first, max(before.last, one.last), one.protocol)
        else:
            found.append(one)
    return tuple(found)
