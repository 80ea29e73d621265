"""What is to go wrong, by script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.labs.azure.call import ArmError, Call


@dataclass
class Fault:
    """Something that happens to the next `times` matching calls."""

    operation: str
    """As in `Call.operation`; "" is any."""
    times: int
    error: ArmError | None = None
    lose: str = ""
    """"request": the call never reaches Azure; "reply": it does, and nothing comes back."""
    when: Callable[[Call], bool] = lambda _: True


@dataclass(frozen=True)
class Trouble:
    """An error of a deployment or of a machine."""

    code: str
    words: str


@dataclass
class Capacity:
    """How many more machines a size gives, and what it says when there are none."""

    size: str | None
    zone: str | None
    market: str | None
    left: int
    trouble: Trouble
    preflight: bool
    """True for what is said at once, and of the whole deployment."""


ALLOCATION = Trouble(
    "AllocationFailed",
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
    "region. Read more about improving likelihood of allocation success at "
    "http://aka.ms/allocation-guidance",
)
SKU = Trouble(
    "SkuNotAvailable",
    "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
    "Standard_D2as_v5' is currently not available in location 'eastus'. Please try another size or "
    "deploy to a different location or different zone.",
)
QUOTA = Trouble(
    "QuotaExceeded",
    "Operation could not be completed as it results in exceeding approved LowPriorityCores quota. "
    "Current Limit: 3, Current Usage: 2, Additional Required: 2, (Minimum) New Limit Required: 4.",
)


@dataclass
class Faults:
    """The script. Tests add to it; calls use it up."""

    queue: list[Fault] = field(default_factory=list)
    capacities: list[Capacity] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)
    """Ids of machines, in lower case, that may not be deleted."""

    def throttle(self, operation: str = "", times: int = 1, seconds: int = 5) -> None:
        """Answer the next calls with 429:
        https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/request-limits-and-throttling
        """
        words = f"The request is being throttled. Please try again after '{seconds}' seconds."
        headers = {"Retry-After": str(seconds)}
        error = ArmError(429, "TooManyRequests", words, headers=headers)
        self.queue.append(Fault(operation, times, error))

    def refuse(self, operation: str, status: int, code: str, words: str, times: int = 1) -> None:
        """Answer the next calls with an error of Azure's."""
        self.queue.append(Fault(operation, times, ArmError(status, code, words)))

    def lose_reply(self, operation: str, times: int = 1) -> None:
        """Let the next calls take effect, and answer nothing."""
        self.queue.append(Fault(operation, times, lose="reply"))

    def lose_request(self, operation: str, times: int = 1) -> None:
        """Let the next calls vanish."""
        self.queue.append(Fault(operation, times, lose="request"))

    def limit(
        self,
        left: int = 0,
        *,
        size: str | None = None,
        zone: str | None = None,
        market: str | None = None,
        trouble: Trouble = ALLOCATION,
        preflight: bool = False,
    ) -> None:
        """Let a size (None is any) give only `left` more machines."""
        self.capacities.append(Capacity(size, zone, market, left, trouble, preflight))

    def clear(self) -> None:
        """Let all go well."""
        self.queue.clear()
        self.capacities.clear()
        self.locked.clear()

    def take(self, call: Call) -> Fault | None:
        """The fault that happens to this call."""
        for fault in self.queue:
            if fault.times > 0 and fault.operation in ("", call.operation) and fault.when(call):
                fault.times -= 1
                return fault
        return None

    def at_once(self, size: str, zone: str | None, market: str, count: int) -> Trouble | None:
        """What keeps a deployment from beginning."""
        for one in self._of(size, zone, market):
            if one.preflight and one.left < count:
                return one.trouble
        return None

    def grant(self, size: str, zone: str | None, market: str) -> Trouble | None:
        """Take one machine from what there is, or say why there is none."""
        places = [one for one in self._of(size, zone, market) if not one.preflight]
        for one in places:
            if one.left <= 0:
                return one.trouble
        for one in places:
            one.left -= 1
        return None

    def _of(self, size: str, zone: str | None, market: str) -> list[Capacity]:
        return [
            one
            for one in self.capacities
            if one.size in (None, size)
            and one.zone in (None, zone)
            and one.market in (None, market)
        ]
