"""The token buckets with which EC2 throttles each account in each region.

The sizes are those of https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html. What
an account was granted beyond them nobody can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.labs.aws.call import AwsError, Call


class Size(NamedTuple):
    """Of a bucket."""

    capacity: float
    refill: float
    """Tokens a second."""


REQUESTS: Final = {
    "CreateNetworkInterface": Size(100, 5),
    "CreateTags": Size(100, 10),
    "CreateVolume": Size(100, 5),
    "DeleteNetworkInterface": Size(100, 5),
    "DeleteTags": Size(100, 10),
    "DeleteVolume": Size(100, 5),
    "RunInstances": Size(5, 2),
    "StartInstances": Size(5, 2),
    "TerminateInstances": Size(100, 5),
}
"""Actions with sizes of their own."""
RESOURCES: Final = {
    "RunInstances": Size(1000, 2),
    "StartInstances": Size(1000, 2),
    "StopInstances": Size(1000, 20),
    "TerminateInstances": Size(1000, 20),
}
"""A second bucket, of instances instead of calls."""
READS: Final = ("Describe", "Get", "List", "Search")
READ, WRITE, UNFILTERED = Size(100, 20), Size(50, 5), Size(50, 10)
WHOLE: Final = (
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroups",
    "DescribeSnapshots",
    "DescribeSpotInstanceRequests",
    "DescribeVolumes",
)
"""A call of these with neither a filter nor a page takes from a smaller bucket."""


@dataclass
class Throttling:
    """Every bucket of an account. A lab is asked within seconds what a cloud is asked within
    minutes, so its buckets fill `speed` times as fast; 1 is as fast as AWS's."""

    speed: float = 60.0
    _buckets: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)
    """Bucket to its tokens, and when they were counted."""

    def take(self, call: Call, now: float) -> None:
        """Take what the call costs. Raises AwsError, and takes nothing, where that is not there.
        `now` is in seconds of any clock."""
        if call.service != "ec2":
            return
        asked = list(_asked(call))
        left = {key: self._tokens(key, size, now) - cost for key, size, cost in asked}
        if min(left.values()) < 0:
            raise AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
        self._buckets |= {key: (tokens, now) for key, tokens in left.items()}

    def _tokens(self, key: tuple[str, ...], size: Size, now: float) -> float:
        if key not in self._buckets:
            return size.capacity
        tokens, counted_at = self._buckets[key]
        gained = (now - counted_at) * self.speed * size.refill
        return min(size.capacity, tokens + gained)


def _asked(call: Call) -> Iterator[tuple[tuple[str, ...], Size, float]]:
    """Each bucket that a call takes from: its key and size, and how much."""
    place = call.region, call.action
    if _is_whole(call):
        yield (*place, "whole"), UNFILTERED, 1
    else:
        size = READ if call.action.startswith(READS) else WRITE
        yield (*place, "requests"), REQUESTS.get(call.action, size), 1
    if call.action in RESOURCES and call.parameters.get("DryRun") != "true":
        yield (*place, "resources"), RESOURCES[call.action], _resources(call.parameters)


def _is_whole(call: Call) -> bool:
    narrowed = ("Filter.", "InstanceId.", "GroupId.", "VolumeId.")
    given = call.parameters
    pages = "MaxResults" in given
    return call.action in WHOLE and not pages and not any(k.startswith(narrowed) for k in given)


def _resources(parameters: Mapping[str, str]) -> int:
    if "MaxCount" in parameters:
        return int(parameters["MaxCount"])
    return sum(key.startswith("InstanceId.") for key in parameters)
