"""What nodes cost: arithmetic on times and rates, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class PaidTime:
    """A node's paid time."""

    provider: str
    seconds: float
    usd_per_hour: float | None
    """None when unknown, which is never the same as free."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some nodes cost, or will."""

    usd: float = 0.0
    """Of the nodes whose rate is known."""
    node_seconds: float = 0.0
    nodes: int = 0
    unpriced: int = 0
    """Nodes whose rate is unknown; then `usd` is a lower bound."""

    @property
    def known(self) -> bool:
        """True when every node's rate is known."""
        return self.unpriced == 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.usd + other.usd,
            self.node_seconds + other.node_seconds,
            self.nodes + other.nodes,
            self.unpriced + other.unpriced,
        )

    def __str__(self) -> str:
        if not self.nodes:
            return "nothing"
        if self.unpriced == self.nodes:
            return "unknown"
        return spell_usd(self.usd) if self.known else f"at least {spell_usd(self.usd)}"


def total(spans: Iterable[PaidTime]) -> Cost:
    """Node-seconds times rate, summed; a node that failed was paid for like any other."""
    spans = tuple(spans)
    return Cost(
        usd=sum(span.seconds * (span.usd_per_hour or 0.0) / HOUR for span in spans),
        node_seconds=sum(span.seconds for span in spans),
        nodes=len(spans),
        unpriced=sum(span.usd_per_hour is None for span in spans),
    )


def by_provider(spans: Iterable[PaidTime]) -> dict[str, Cost]:
    """The same for each provider, in the order of first appearance."""
    groups: dict[str, list[PaidTime]] = {}
    for span in spans:
        groups.setdefault(span.provider, []).append(span)
    return {name: total(group) for name, group in groups.items()}


def estimate(
    count: int, rates: Mapping[str, float | None], seconds: Mapping[str, float | None]
) -> Cost | None:
    """What `count` nodes of each provider will cost: rate times the seconds a node will run.

    None when a rate or the time of a provider that is not free is unknown: there is no guess.
    """
    spans: list[PaidTime] = []
    for provider, rate in rates.items():
        expected = seconds.get(provider)
        if rate is None or (expected is None and rate != 0.0):
            return None
        spans += [PaidTime(provider, expected or 0.0, rate)] * count
    return total(spans)


def seconds_left(spent: float, rates: Sequence[float], cap: float, reserve: float) -> float:
    """For how long nodes at these rates (USD per hour) may go on before `spent` USD, and what
    they cost in the `reserve` seconds that ending them takes, would pass `cap`.

    Infinite for nodes that cost nothing; never negative.
    """
    per_second = sum(rates) / HOUR
    if per_second <= 0:
        return float("inf")
    return max(0.0, (cap - spent) / per_second - reserve)


def spell_usd(usd: float) -> str:
    """An amount for people: 0 -> "free", 0.00012 -> "$0.00012", 12.5 -> "$12.50"."""
    if usd == 0:
        return "free"
    if usd < 0.01:
        return f"${usd:.2g}" if usd >= 1e-4 else f"${usd:.1e}"
    return f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}"
