"""A measured value beside its goal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's result."""

    what: str
    value: float
    unit: str
    goal: str
    """Empty when there is none."""
    met: bool | None
    """None when there is no goal."""


def show(rows: Iterable[Row]) -> None:
    """Print them."""
    for row in rows:
        word = {True: "met", False: "MISSED", None: ""}[row.met]
        print(f"{row.what:64} {row.value:9.2f} {row.unit:12} {row.goal:14} {word}")
