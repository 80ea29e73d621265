"""What is to go wrong, by script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.labs.gcp.call import Call, GoogleError


@dataclass
class Fault:
    """Something that happens to the next `times` matching calls."""

    method: str
    """As in `compute.instances.get`; "" is any."""
    times: int
    error: GoogleError | None = None
    lose: str = ""
    """"request": the call never reaches Google; "reply": it does, and nothing comes back."""
    when: Callable[[Call], bool] = lambda _: True


@dataclass(frozen=True)
class Trouble:
    """An error of an operation."""

    code: str
    words: str


@dataclass
class Capacity:
    """How many more instances a place gives, and what it says when there are none."""

    zone: str | None
    size: str | None
    market: str | None
    left: int
    trouble: Trouble


EXHAUSTED = Trouble(
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    "The zone does not have enough resources available to fulfill the request. "
    "Try a different zone, or try again later.",
)
QUOTA = Trouble("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 8.0 in region us-central1.")


@dataclass
class Faults:
    """The script. Tests add to it; calls use it up."""

    queue: list[Fault] = field(default_factory=list)
    capacities: list[Capacity] = field(default_factory=list)
    operations: dict[str, list[Trouble]] = field(default_factory=dict)
    """Method to what its next operation fails with."""
    protected: set[str] = field(default_factory=set)
    """Names of instances that may not be deleted."""
    unreachable: set[str] = field(default_factory=set)
    """Zones that listings cannot ask."""
    unlisted_cause: bool = False
    """A bulk insert's operation has only its summary; the cause is in the inserts' operations."""

    def throttle(self, method: str = "", times: int = 1) -> None:
        """Answer the next calls with rateLimitExceeded:
        https://cloud.google.com/compute/docs/api/rate-limits"""
        error = GoogleError(403, "rateLimitExceeded", "Rate Limit Exceeded")
        self.queue.append(Fault(method, times, error))

    def refuse(self, method: str, status: int, reason: str, words: str, times: int = 1) -> None:
        """Answer the next calls with an error of Google's."""
        self.queue.append(Fault(method, times, GoogleError(status, reason, words)))

    def lose_reply(self, method: str, times: int = 1) -> None:
        """Let the next calls take effect, and answer nothing."""
        self.queue.append(Fault(method, times, lose="reply"))

    def lose_request(self, method: str, times: int = 1) -> None:
        """Let the next calls vanish."""
        self.queue.append(Fault(method, times, lose="request"))

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
        self.capacities.append(Capacity(zone, size, market, left, trouble))

    def clear(self) -> None:
        """Let all go well."""
        self.queue.clear()
        self.capacities.clear()
        self.operations.clear()
        self.protected.clear()
        self.unreachable.clear()
        self.unlisted_cause = False

    def take(self, call: Call) -> Fault | None:
        """The fault that happens to this call."""
        for fault in self.queue:
            if fault.times > 0 and fault.method in ("", call.method) and fault.when(call):
                fault.times -= 1
                return fault
        return None

    def grant(self, zone: str, size: str, market: str, count: int) -> tuple[int, Trouble | None]:
        """How many of `count` a place gives, and why not all."""
        trouble = None
        for one in self.capacities:
            wanted = zip((one.zone, one.size, one.market), (zone, size, market), strict=True)
            if all(limit in (None, is_) for limit, is_ in wanted) and one.left < count:
                count, trouble = one.left, one.trouble
        for one in self.capacities:
            one.left -= count
        return max(count, 0), trouble
