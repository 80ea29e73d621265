"""Faults of the AWS lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import cases_clouds
from tests.faults.case import Case
from tests.faults.cases_clouds import Calls
from tests.faults.labs import AwsArena, open_aws

CALLS = Calls(
    open_aws, AwsArena,
    first="DescribeSubnets",
    makes={
        "making the security group": "CreateSecurityGroup",
        "opening ports": "AuthorizeSecurityGroupIngress",
        "making nodes": "RunInstances",
    },
    release="DeleteSecurityGroup",
    things="DescribeSecurityGroups",
    reads={
        "finding zones": "DescribeSubnets",
        "asking for prices": "DescribeSpotPriceHistory",
        "finding the image": "DescribeImages",
        "listing volumes": "DescribeVolumes",
    },
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
