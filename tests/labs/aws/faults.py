"""What is to go wrong, by script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.labs.aws.call import AwsError, Call


@dataclass
class Fault:
    """Something that happens to the next `times` matching calls."""

    action: str
    """`*` is any."""
    times: int
    error: AwsError | None = None
    lose: str = ""
    """"request": the call never reaches AWS; "reply": it does, and nothing comes back."""
    when: Callable[[Call], bool] = lambda _: True


@dataclass
class Capacity:
    """How many more instances a place gives, and what it says when there are none."""

    zone: str | None
    size: str | None
    market: str | None
    left: int
    code: str
    words: str


NO_CAPACITY = (
    "InsufficientInstanceCapacity",
    "We currently do not have sufficient capacity in the Availability Zone you requested.",
)


@dataclass
class Faults:
    """The script. Tests add to it; calls use it up."""

    queue: list[Fault] = field(default_factory=list)
    capacities: list[Capacity] = field(default_factory=list)

    def throttle(self, action: str, times: int = 1) -> None:
        """Answer the next calls with RequestLimitExceeded:
        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
        error = AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
        self.queue.append(Fault(action, times, error))

    def refuse(self, action: str, code: str, words: str, times: int = 1, status: int = 400) -> None:
        """Answer the next calls with an error of AWS's."""
        self.queue.append(Fault(action, times, AwsError(code, words, status)))

    def protect(self, instance: str) -> None:
        """Refuse to end this instance, as with termination protection:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
        """
        words = (
            f"The instance '{instance}' may not be terminated. Modify its "
            "'disableApiTermination' instance attribute and try again."
        )
        error = AwsError("OperationNotPermitted", words)
        self.queue.append(
            Fault(
                "TerminateInstances", 1000, error, when=lambda c: instance in c.listed("InstanceId")
            )
        )

    def lose_reply(self, action: str, times: int = 1) -> None:
        """Let the next calls take effect, and answer nothing."""
        self.queue.append(Fault(action, times, lose="reply"))

    def lose_request(self, action: str, times: int = 1) -> None:
        """Let the next calls vanish."""
        self.queue.append(Fault(action, times, lose="request"))

    def limit(
        self,
        left: int = 0,
        *,
        zone: str | None = None,
        size: str | None = None,
        market: str | None = None,
        code: str = NO_CAPACITY[0],
        words: str = NO_CAPACITY[1],
    ) -> None:
        """Let a place (None is any) give only `left` more instances."""
        self.capacities.append(Capacity(zone, size, market, left, code, words))

    def clear(self) -> None:
        """Let all go well."""
        self.queue.clear()
        self.capacities.clear()

    def take(self, call: Call) -> Fault | None:
        """The fault that happens to this call."""
        for fault in self.queue:
            if fault.times > 0 and fault.action in ("*", call.action) and fault.when(call):
                fault.times -= 1
                return fault
        return None

    def grant(self, zone: str, size: str, market: str, count: int) -> int:
        """How many instances this place gives. Raises AwsError when there are none."""
        wanted = (("zone", zone), ("size", size), ("market", market))
        for place in self.capacities:
            if all(getattr(place, name) in (None, value) for name, value in wanted):
                if place.left == 0:
                    raise AwsError(place.code, place.words, 500)
                count = min(count, place.left)
                place.left -= count
        return count
