"""A measured value beside its goal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's result."""

    what: str
    value: float
    """The median of several rounds."""
    unit: str
    goal: str
    """Empty when there is none."""
    met: bool | None
    """None when there is no goal."""
    spread: str = ""
    """The least and the most of the rounds, in the unit; empty when there was one."""


def spread(values: Sequence[float]) -> str:
    """The least and the most."""
    return f"{min(values):.2f}-{max(values):.2f}" if len(values) > 1 else ""


def users_environment() -> dict[str, str]:
    """This process's, without what only the benchmarks need in it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def show(rows: Iterable[Row]) -> None:
    """Print them."""
    for row in rows:
        word = {True: "met", False: "MISSED", None: ""}[row.met]
        value = f"{row.value:9.2f} {row.unit:12} {row.spread:14}"
        print(f"{row.what:64} {value} {row.goal:14} {word}")
