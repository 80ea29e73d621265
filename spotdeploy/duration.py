"""Durations as people write them: "90s", "2m", "1h30m"."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
LONGEST: Final = 30 * 86400.0


class Duration(float):
    """Seconds, made from text such as "20s", "2m" or "1h30m".

    Raises ValueError when the text is not a duration, or is longer than 30 days.
    """

    def __new__(cls, text: str) -> Duration:
        """Parse `text`."""
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f'{text!r} is not a duration; write it like "20s", "2m" or "1h30m"')
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if seconds > LONGEST:
            raise ValueError(f"{text!r} is longer than 30 days")
        return super().__new__(cls, seconds)

    def __str__(self) -> str:
        return spell(self)

    __repr__ = __str__


def spell(seconds: float) -> str:
    """Seconds as short text: 0.4 -> "0.4s", 75 -> "1m15s", 7260 -> "2h1m"."""
    if seconds < 0:
        return f"-{spell(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds % 1 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if hours else f"{days}d"
