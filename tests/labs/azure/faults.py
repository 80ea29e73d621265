"""What goes wrong in Azure, in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.labs.azure.call import ArmError, Call
from tests.labs.fault_queue import FaultQueue, Limit


@dataclass(frozen=True)
class Trouble:
    """An error of a deployment or of a machine."""

    code: str
    words: str


@dataclass
class Capacity(Limit):
    """How many more machines a size gives, and what it says when there are none."""

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
class Faults(FaultQueue[Call, Capacity]):
    """The script; calls are named by their operation."""

    locked: set[str] = field(default_factory=set)
    """Ids of machines, in lower case, that may not be deleted."""
    closed_until: float = 0.0
    """Until when, in the lab's time, Compute's listings are refused."""
    stuck: list[Trouble] = field(default_factory=list)
    """Why the next deletions of groups fail, once their machines are gone."""
    unknown_until: float = 0.0
    """Until when a group that was just made is not found by what is asked about its inside."""

    def name_of(self, call: Call) -> str:
        return call.operation

    def throttle(self, operation: str = "", times: int = 1, seconds: int = 5) -> None:
        """Answer the next calls with 429:
        https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/request-limits-and-throttling
        """
        words = f"The request is being throttled. Please try again after '{seconds}' seconds."
        headers = {"Retry-After": str(seconds)}
        error = ArmError(429, "TooManyRequests", words, headers=headers)
        self.answer(operation, error, times)

    def refuse(self, operation: str, status: int, code: str, words: str, times: int = 1) -> None:
        """Answer the next calls with an error of Azure's."""
        self.answer(operation, ArmError(status, code, words), times)

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
        self.limits.append(Capacity(zone, size, market, left, trouble, preflight))

    def clear(self) -> None:
        super().clear()
        self.locked.clear()
        self.stuck.clear()
        self.closed_until = self.unknown_until = 0.0

    def costly(self, now: float) -> ArmError:
        """What Compute answers to a listing while its budget for the subscription is used up:
        https://learn.microsoft.com/en-us/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors
        """
        words = "The server rejected the request because too many requests have been received"
        policy = '{"operationGroup":"HighCostGet30Min","allowedRequestCount":900}'
        inner = {"code": "TooManyRequests", "target": "HighCostGet30Min", "message": policy}
        headers = {"Retry-After": str(round(self.closed_until - now))}
        words += " for this subscription."
        return ArmError(429, "OperationNotAllowed", words, [inner], headers)

    def at_once(self, size: str, zone: str | None, market: str, count: int) -> Trouble | None:
        """What keeps a deployment from beginning."""
        for one in self.limits_of(zone, size, market):
            if one.preflight and one.left < count:
                return one.trouble
        return None

    def grant(self, size: str, zone: str | None, market: str) -> Trouble | None:
        """Take one machine from what there is, or say why there is none."""
        limits = [one for one in self.limits_of(zone, size, market) if not one.preflight]
        for one in limits:
            if one.left <= 0:
                return one.trouble
        for one in limits:
            one.left -= 1
        return None
