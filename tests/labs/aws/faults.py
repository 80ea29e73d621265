"""What goes wrong in AWS, in its own words."""

from __future__ import annotations

from dataclasses import dataclass

from tests.labs.aws.call import ACCOUNT, NAMESPACES, AwsError, Call
from tests.labs.fault_queue import ANY, Fault, FaultQueue, Limit

DRY = " (dry run)"


def denied(service: str, action: str, resource: str = "*") -> AwsError:
    """What a service answers when no policy allows an action: each has a code of its own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (EC2),
    https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html (IAM and STS) and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html (the words).
    """
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/ci is not authorized to perform: {service}:{action} "
        f"on resource: {resource} because no identity-based policy allows the {service}:{action} "
        "action"
    )
    if service == "ec2":
        words = f"You are not authorized to perform this operation. {words}."
        encoded = "Encoded authorization failure message: 6g8KJmcoYD09"
        return AwsError("UnauthorizedOperation", f"{words} {encoded}", 403)
    if service in NAMESPACES:
        return AwsError("AccessDenied", words, 403)
    return AwsError("AccessDeniedException", words)


@dataclass
class Capacity(Limit):
    """How many more instances a place gives, and what it says when there are none."""

    code: str
    words: str


NO_CAPACITY = (
    "InsufficientInstanceCapacity",
    "We currently do not have sufficient capacity in the Availability Zone you requested.",
)


@dataclass
class Faults(FaultQueue[Call, Capacity]):
    """The script; calls are named by their action, and dry runs with `DRY` behind it."""

    def name_of(self, call: Call) -> str:
        return call.action + (DRY if call.parameters.get("DryRun") == "true" else "")

    def throttle(self, action: str, times: int = 1) -> None:
        """Answer the next calls with RequestLimitExceeded:
        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
        self.answer(action, AwsError("RequestLimitExceeded", "Request limit exceeded.", 503), times)

    def refuse(self, action: str, code: str, words: str, times: int = 1, status: int = 400) -> None:
        """Answer the next calls with an error of AWS's."""
        self.answer(action, AwsError(code, words, status), times)

    def deny(self, service: str, action: str) -> None:
        """Refuse all calls of an action of a service, named as in a policy, because no policy
        allows it, in the words of the service; dry runs too."""

        def asks(call: Call) -> bool:
            return call.action == action and call.service == service

        self.queue.append(Fault(ANY, 1_000_000, denied(service, action), when=asks))

    def protect(self, instance: str) -> None:
        """Refuse to end this instance, as with termination protection:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
        """
        words = (
            f"The instance '{instance}' may not be terminated. Modify its "
            "'disableApiTermination' instance attribute and try again."
        )
        error = AwsError("OperationNotPermitted", words)

        def ends_it(call: Call) -> bool:
            return instance in call.listed("InstanceId")

        self.queue.append(Fault("TerminateInstances", 1000, error, when=ends_it))

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
        self.limits.append(Capacity(zone, size, market, left, code, words))

    def grant(self, zone: str, size: str, market: str, count: int) -> int:
        """How many instances this place gives. Raises AwsError when there are none."""
        for limit in self.limits_of(zone, size, market):
            if limit.left == 0:
                raise AwsError(limit.code, limit.words, 500)
            count = min(count, limit.left)
            limit.left -= count
        return count
