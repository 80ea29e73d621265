"""Faults of the AWS lab."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cycles.project import Done
from tests.faults import cases_clouds
from tests.faults.case import Case, Family
from tests.faults.cases_clouds import INFRASTRUCTURE, PASSED, Calls, tells
from tests.faults.cloud_testbeds import AwsTestbed, open_aws
from tests.faults.fault_script import cycle, destroy
from tests.faults.lab_testbed import LabTestbed
from tests.labs.aws.call import AwsError
from tests.labs.clouds import AWS

CALLS = Calls(
    open_aws,
    AwsTestbed,
    first="GetCallerIdentity",
    makes={
        "making the security group": "CreateSecurityGroup",
        "opening ports": "AuthorizeSecurityGroupIngress",
        "making nodes": "RunInstances",
    },
    claims="CreateSecurityGroup",
    release="DeleteSecurityGroup",
    things="DescribeSecurityGroups",
    reads={
        "asking for prices": "DescribeSpotPriceHistory",
        "finding the image": "DescribeImages",
        "listing volumes": "DescribeVolumes",
    },
    quick=(
        "kill -9 before step settle no. 1",
        "one of two nodes vanished since it was made",
        "a machine of somebody else is beside ours",
        "no capacity in the first zone",
        "Ctrl-C while nodes are being made",
    ),
)


def cases() -> Iterator[Case]:
    """Every case."""
    yield from cases_clouds.cases(CALLS)
    yield from _capacity()
    yield CALLS.case(
        Family.GOING,
        "the security group is held by something else for a while",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.fault("DeleteSecurityGroup", 3, error=IN_USE)),
    )
    yield CALLS.case(
        Family.GOING,
        "a volume outlives its instance",
        PASSED,
        destroy(_orphan_volume),
        also=_has_no_volume,
    )


IN_USE = AwsError("DependencyViolation", "resource sg-1 has a dependent object")
SPOT_LIMIT = ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")


def _capacity() -> Iterator[Case]:
    yield CALLS.case(
        Family.CAPACITY,
        "no capacity in the first zone",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.lab.faults.limit(zone="us-west-2a")),
        also=tells("us-west-2b t3.small spot: "),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "no capacity anywhere",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.lab.faults.limit()),
        also=tells("InsufficientInstanceCapacity"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "a partial fill, the rest elsewhere",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.lab.faults.limit(1, zone="us-west-2a")),
        also=tells("2 of 2 nodes"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "one node in all, of two",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.lab.faults.limit(1)),
        also=tells("1 of 2 nodes could not be created"),
    )
    yield CALLS.case(
        Family.CAPACITY,
        "the quota of spot instances is used up",
        INFRASTRUCTURE,
        cycle(lambda lab: lab.lab.faults.limit(code=SPOT_LIMIT[0], words=SPOT_LIMIT[1])),
        also=tells(SPOT_LIMIT[0]),
    )


def _orphan_volume(testbed: LabTestbed) -> None:
    tags = {
        "TagSpecification.1.Tag.1.Key": "spotdeploy-deployment",
        "TagSpecification.1.Tag.1.Value": "faulty",
    }
    testbed.lab.ask(
        AWS.location,
        {
            "Action": "CreateVolume",
            "AvailabilityZone": f"{AWS.location}a",
            "Size": "8",
            "TagSpecification.1.ResourceType": "volume",
            **tags,
        },
    )
    assert any(one.startswith("vol-") for one in testbed.lab.remains())


def _has_no_volume(testbed: AwsTestbed, done: Done) -> Iterator[str]:
    yield from (one for one in testbed.lab.remains() if one.startswith("vol-"))
