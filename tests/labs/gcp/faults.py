"""What goes wrong in Compute Engine, in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.labs.fault_queue import FaultQueue, Limit
from tests.labs.gcp.call import Call, GoogleError


@dataclass(frozen=True)
class Trouble:
    """An error of an operation."""

    code: str
    words: str


@dataclass
class Capacity(Limit):
    """How many more instances a place gives, and what it says when there are none."""

    trouble: Trouble


EXHAUSTED = Trouble(
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    "The zone does not have enough resources available to fulfill the request. "
    "Try a different zone, or try again later.",
)
QUOTA = Trouble("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 8.0 in region us-central1.")


@dataclass
class Faults(FaultQueue[Call, Capacity]):
    """The script; calls are named by their method, as in `compute.instances.get`."""

    operations: dict[str, list[Trouble]] = field(default_factory=dict)
    """Method to what its next operation fails with."""
    protected: set[str] = field(default_factory=set)
    """Names of instances that may not be deleted."""
    unreachable: set[str] = field(default_factory=set)
    """Zones that listings cannot ask, by name; other scopes as Google writes them, such as
    `projects/P/regions/R`."""
    unlisted_cause: bool = False
    """A bulk insert's operation has only its summary; the cause is in the inserts' operations."""

    def name_of(self, call: Call) -> str:
        return call.method

    def throttle(self, method: str = "", times: int = 1) -> None:
        """Answer the next calls with rateLimitExceeded:
        https://cloud.google.com/compute/docs/api/rate-limits"""
        error = GoogleError(403, "rateLimitExceeded", "Rate Limit Exceeded")
        self.answer(method, error, times)

    def refuse(self, method: str, status: int, reason: str, words: str, times: int = 1) -> None:
        """Answer the next calls with an error of Google's."""
        self.answer(method, GoogleError(status, reason, words), times)

    def limit(
        self,
        left: int = 0,
        *,
        zone: str | None = None,
        size: str | None = None,
        market: str | None = None,
        trouble: Trouble = EXHAUSTED,
    ) -> None:
        """Let a place (None is any) give only `left` more instances."""
        self.limits.append(Capacity(zone, size, market, left, trouble))

    def clear(self) -> None:
        super().clear()
        self.operations.clear()
        self.protected.clear()
        self.unreachable.clear()
        self.unlisted_cause = False

    def grant(self, zone: str, size: str, market: str, count: int) -> tuple[int, Trouble | None]:
        """How many of `count` a place gives, and why not all."""
        trouble = None
        for one in self.limits_of(zone, size, market):
            if one.left < count:
                count, trouble = one.left, one.trouble
        for one in self.limits:
            one.left -= count
        return max(count, 0), trouble
