"""What is to go wrong in a lab, by script: one queue for the three clouds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

C = TypeVar("C")
"""A call, as the cloud's lab has it."""
P = TypeVar("P", bound="Limit")
ANY = ""
"""The name of every call."""


@dataclass
class Fault:
    """Something that happens to the next `times` matching calls."""

    call: str
    """A call's name in the cloud's own words, or `ANY`."""
    times: int
    error: Any = None
    """The cloud's error, which is answered."""
    lose: str = ""
    """"request": the call never reaches the cloud; "reply": it does, and nothing comes back."""
    when: Callable[[Any], bool] = lambda _: True


@dataclass
class Limit:
    """How many more machines a place gives; None is any zone, size or market."""

    zone: str | None
    size: str | None
    market: str | None
    left: int

    def matches(self, zone: str | None, size: str, market: str) -> bool:
        """True when such a machine would come from here."""
        asked = zip((self.zone, self.size, self.market), (zone, size, market), strict=True)
        return all(limit in (None, value) for limit, value in asked)


@dataclass
class FaultQueue(ABC, Generic[C, P]):
    """The script. Tests add to it; calls use it up."""

    queue: list[Fault] = field(default_factory=list)
    limits: list[P] = field(default_factory=list)

    @abstractmethod
    def name_of(self, call: C) -> str:
        """The call's name, as faults have it."""

    def answer(self, call: str, error: object, times: int = 1) -> None:
        """Answer the next calls with an error."""
        self.queue.append(Fault(call, times, error))

    def lose_reply(self, call: str, times: int = 1) -> None:
        """Let the next calls take effect, and answer nothing."""
        self.queue.append(Fault(call, times, lose="reply"))

    def lose_request(self, call: str, times: int = 1) -> None:
        """Let the next calls vanish."""
        self.queue.append(Fault(call, times, lose="request"))

    def clear(self) -> None:
        """Let all go well."""
        self.queue.clear()
        self.limits.clear()

    def take(self, call: C) -> Fault | None:
        """The fault that happens to this call."""
        name = self.name_of(call)
        for fault in self.queue:
            if fault.times > 0 and fault.call in (ANY, name) and fault.when(call):
                fault.times -= 1
                return fault
        return None

    def limits_of(self, zone: str | None, size: str, market: str) -> Iterator[P]:
        """The limited limits from which such a machine would come."""
        return (limit for limit in self.limits if limit.matches(zone, size, market))
