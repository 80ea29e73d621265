"""A run told from its events: one lane for each node, with its phases, checks and marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spotdeploy.events import EvidenceKept, NodeDestroyed, OfferTried
from spotdeploy.run.cost import Span

UNFINISHED = "unfinished"
"""The verdict of a run whose events end before one was reached."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A step of the run or a phase of a node. Times are Unix seconds."""

    name: str
    start: float
    end: float
    ok: bool
    detail: str = ""
    open: bool = False
    """True when its end was never told: the run, or what it says, stopped in the middle."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer of one check on one node."""

    name: str
    ok: bool
    settled: bool
    detail: str
    seconds: float
    """From the phase's start to this answer."""
    turns: int
    """How often the answer turned from good to bad or back."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at one moment: a retry, a warning, a replacement."""

    at: float
    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """One node's way through the run. Times are Unix seconds."""

    id: str
    name: str
    provider: str
    location: str
    zone: str | None
    size: str | None
    market: str
    usd_per_hour: float | None
    made: bool
    """False for a node that was there before the run."""
    start: float
    end: float
    """When its way was over."""
    gone: float | None
    """When it was seen gone; None while it still runs."""
    verdict: str
    detail: str
    fate: str
    phases: tuple[Stretch, ...]
    checks: tuple[Answer, ...]
    marks: tuple[Mark, ...]
    evidence: EvidenceKept | None

    @property
    def place(self) -> str:
        """Provider and zone or location, once when they are the same."""
        place = self.zone or self.location
        return place if place == self.provider else f"{self.provider} {place}"

    @property
    def passed(self) -> bool:
        """True when its verdict is "passed"."""
        return self.verdict == "passed"

    @property
    def phase(self) -> str:
        """The last phase it was in."""
        return self.phases[-1].name if self.phases else "create"


@dataclass(frozen=True, slots=True)
class Story:
    """A whole run."""

    run: str
    command: str
    deployment: str
    providers: tuple[str, ...]
    digest: str
    desired: int
    checks: tuple[str, ...]
    """Names, in the order in which reports show them."""
    start: float
    end: float
    verdict: str
    exit_code: int | None
    message: str
    steps: tuple[Stretch, ...]
    tries: tuple[OfferTried, ...]
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    """Of the run as a whole."""
    before: tuple[NodeDestroyed, ...]
    """Nodes of earlier runs that this one destroyed."""

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.end - self.start

    @property
    def passed(self) -> tuple[Lane, ...]:
        """The lanes that passed."""
        return tuple(lane for lane in self.lanes if lane.passed)

    @property
    def failed(self) -> tuple[Lane, ...]:
        """The lanes that did not pass, though a verdict was asked of them."""
        return tuple(lane for lane in self.lanes if lane.verdict and not lane.passed)


def paid(lanes: Iterable[Lane], until: float) -> tuple[Span, ...]:
    """The paid time of every node that the run made: until it was seen gone, or `until`."""
    return tuple(
        Span(lane.provider, max(0.0, (lane.gone or until) - lane.start), lane.usd_per_hour)
        for lane in lanes
        if lane.made
    )
