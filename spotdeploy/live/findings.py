"""What a live test found."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from spotdeploy.errors import ProviderError, Reach


class Answer(StrEnum):
    """What came of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_SHOWN = "not shown"


class Promise(msgspec.Struct, frozen=True):
    """One promise of the contract, and what was seen of it."""

    text: str
    answer: Answer
    detail: str = ""


class Timing(msgspec.Struct, frozen=True):
    """How long the cloud took for something."""

    what: str
    seconds: float
    expected: float | None = None
    """Seconds that the provider or the config allows for it."""


class Refused(msgspec.Struct, frozen=True):
    """A refusal of the cloud, in its own words."""

    what: str
    error: str
    """The class that the provider made of it."""
    reach: Reach
    code: str
    message: str


def refused(what: str, error: ProviderError) -> Refused:
    """A refusal as it is told."""
    return Refused(what, type(error).__name__, error.reach, error.code or "", error.message)


class Findings(msgspec.Struct, frozen=True):
    """A whole live test."""

    provider: str
    location: str
    size: str
    market: str
    usd_per_hour: float | None
    max_cost: float
    """USD."""
    user_data_limit: int
    """Bytes."""
    promises: tuple[Promise, ...]
    timings: tuple[Timing, ...]
    refusals: tuple[Refused, ...]
    left: tuple[str, ...]
    """What could not be proven gone; empty when nothing is left."""
    stopped: bool
    """It was stopped before its end."""

    @property
    def broken(self) -> list[Promise]:
        """The promises that were not kept."""
        return [one for one in self.promises if one.answer is Answer.BROKEN]
