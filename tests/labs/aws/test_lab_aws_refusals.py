"""The AWS lab refuses what EC2 refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from spotdeploy import labels
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import NEWEST_LTS, OWN_IMAGE

REGION = "us-west-2"
INTEL, ARM = NEWEST_LTS["x86_64"], NEWEST_LTS["arm64"]
UNKNOWN = "i-0ddddddddddddddd0"
Client = Callable[..., Any]


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(lab: AwsLab) -> Clock:
    """The lab's clock. Its buckets fill as fast as AWS's."""
    lab.timing.clock = clock = Clock()
    lab.cloud.throttling.speed = 1.0
    return clock


@pytest.fixture
def ec2(client: Client) -> Any:
    """EC2's client."""
    return client("ec2")


def launch(ec2: Any, count: int = 1, size: str = "t3.small", **more: Any) -> list[str]:
    asked = {"ImageId": INTEL, "InstanceType": size, "MinCount": 1, "MaxCount": count, **more}
    return [one["InstanceId"] for one in ec2.run_instances(**asked)["Instances"]]


def spot(ec2: Any, count: int = 1, size: str = "t3.small", **more: Any) -> list[str]:
    return launch(ec2, count, size, InstanceMarketOptions={"MarketType": "spot"}, **more)


def tagged(ec2: Any) -> str:
    tags = [{"Key": labels.DEPLOYMENT, "Value": "shop"}]
    (id_,) = launch(ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    return id_


def refusal(ask: Callable[[], object]) -> tuple[str, int, str]:
    """The code, the HTTP status and the message of a refused call."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as refused:
        ask()
    response = refused.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_a_policy_by_tag_refuses_a_whole_batch_for_one_instance_without_it(
    ec2: Any, lab: AwsLab
) -> None:
    lab.cloud.only_tagged = True
    mine, (other,) = tagged(ec2), launch(ec2)
    for stranger in (other, UNKNOWN):
        code, status, words = refusal(
            partial(ec2.terminate_instances, InstanceIds=[mine, stranger])
        )
        assert (code, status) == ("UnauthorizedOperation", 403)
        assert stranger in words
    assert set(lab.instances(REGION)) == {mine, other}
    ec2.terminate_instances(InstanceIds=[mine])
    assert set(lab.instances(REGION)) == {other}


def test_an_id_is_not_found_for_minutes_and_the_instance_runs(
    ec2: Any, lab: AwsLab, clock: Clock
) -> None:
    lab.timing.listing_delay = 180.0
    (id_,) = launch(ec2)
    for _ in range(3):
        assert ec2.describe_instances()["Reservations"] == []
        for ask in (ec2.describe_instances, ec2.terminate_instances):
            code, _, words = refusal(partial(ask, InstanceIds=[id_]))
            assert (code, words) == (
                "InvalidInstanceID.NotFound",
                f"The instance ID '{id_}' does not exist",
            )
        clock.now += 59
    assert lab.instances(REGION) == {id_: "running"}
    clock.now += 10
    assert ec2.describe_instances(InstanceIds=[id_])["Reservations"]


def test_one_unknown_id_lets_a_whole_batch_fail(ec2: Any, lab: AwsLab) -> None:
    (id_,) = launch(ec2)
    code, _, _ = refusal(lambda: ec2.terminate_instances(InstanceIds=[id_, UNKNOWN]))
    assert code == "InvalidInstanceID.NotFound"
    assert lab.instances(REGION) == {id_: "running"}


def test_a_new_security_group_is_unknown_for_a_while(ec2: Any, lab: AwsLab, clock: Clock) -> None:
    lab.timing.group_delay = 60.0
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    rules = [{**rule, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}]
    asks: list[Callable[[], object]] = [
        lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules),
        lambda: launch(ec2, SecurityGroupIds=[group]),
        lambda: ec2.delete_security_group(GroupId=group),
    ]
    for ask in asks:
        assert refusal(ask)[0] == "InvalidGroup.NotFound"
    assert lab.instances(REGION) == {}
    clock.now += 60
    for ask in asks[:2]:
        ask()


def test_an_account_on_the_free_plan_gets_eligible_sizes_only(ec2: Any, lab: AwsLab) -> None:
    lab.cloud.rules.free_plan = True
    code, status, words = refusal(lambda: launch(ec2, size="t3a.small"))
    assert (code, status) == ("InvalidParameterCombination", 400)
    assert "not eligible for Free Tier" in words
    wanted = [{"Name": "free-tier-eligible", "Values": ["true"]}]
    eligible = ec2.describe_instance_types(Filters=wanted)["InstanceTypes"]
    sizes = {one["InstanceType"] for one in eligible}
    assert "t3.small" in sizes
    assert "t3a.small" not in sizes
    assert launch(ec2, size="t3.small")


def test_a_quota_counts_the_vcpus_of_a_family_in_a_region(
    ec2: Any, client: Client, lab: AwsLab
) -> None:
    lab.cloud.quotas.applied["L-34B43A08"] = 5.0
    code, status, _ = refusal(lambda: spot(ec2, 3))
    assert (code, status) == ("MaxSpotInstanceCountExceeded", 400)
    assert lab.instances(REGION) == {}
    first = spot(ec2, 2)
    assert refusal(lambda: spot(ec2, size="m5.large"))[0] == "MaxSpotInstanceCountExceeded"
    assert spot(ec2, size="g4dn.xlarge")
    assert launch(ec2, 3)
    assert spot(client("ec2", "eu-west-1"), 2)
    ec2.terminate_instances(InstanceIds=first)
    assert spot(ec2, size="m5.large")


def test_on_demand_has_quotas_of_its_own(ec2: Any, lab: AwsLab) -> None:
    lab.cloud.quotas.applied["L-1216C47A"] = 2.0
    assert launch(ec2)
    code, status, words = refusal(lambda: launch(ec2))
    assert (code, status) == ("VcpuLimitExceeded", 400)
    assert "vCPU limit of 2 " in words


def test_a_quota_is_free_again_some_time_after_an_instance_ended(
    ec2: Any, lab: AwsLab, clock: Clock
) -> None:
    lab.cloud.quotas.applied["L-34B43A08"] = 2.0
    lab.timing.quota_delay = 90.0
    ec2.terminate_instances(InstanceIds=spot(ec2))
    clock.now += 89
    assert refusal(lambda: spot(ec2))[0] == "MaxSpotInstanceCountExceeded"
    clock.now += 1
    assert spot(ec2)


def test_run_instances_fills_two_requests_a_second(ec2: Any, clock: Clock) -> None:
    for _ in range(5):
        launch(ec2)
    code, status, words = refusal(lambda: launch(ec2))
    assert (code, status, words) == ("RequestLimitExceeded", 503, "Request limit exceeded.")
    assert ec2.describe_instances()["Reservations"]
    clock.now += 1
    launch(ec2)
    launch(ec2)
    assert refusal(lambda: launch(ec2))[0] == "RequestLimitExceeded"


def test_instances_have_a_bucket_beside_that_of_requests(
    ec2: Any, lab: AwsLab, clock: Clock
) -> None:
    from tests.labs.aws.throttling import RESOURCES, Size

    assert RESOURCES["RunInstances"] == Size(1000, 2)
    lab.cloud.throttling._buckets[REGION, "RunInstances", "resources"] = (4.0, clock.now)
    assert refusal(lambda: launch(ec2, 5))[0] == "RequestLimitExceeded"
    assert lab.instances(REGION) == {}
    launch(ec2, 4)
    clock.now += 1
    assert refusal(lambda: launch(ec2, 3))[0] == "RequestLimitExceeded"
    assert len(launch(ec2, 2)) == 2


def test_a_listing_without_filter_or_page_has_a_smaller_bucket(ec2: Any, clock: Clock) -> None:
    def list_all() -> object:
        return ec2.describe_volumes()

    for _ in range(50):
        list_all()
    assert refusal(list_all)[0] == "RequestLimitExceeded"
    assert ec2.describe_volumes(MaxResults=5)["Volumes"] == []
    clock.now += 0.1
    list_all()


def test_the_buckets_of_a_lab_fill_in_generous_time(ec2: Any, lab: AwsLab) -> None:
    del lab
    for _ in range(12):
        launch(ec2)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ec2: ec2.run_instances(
            ImageId=INTEL, InstanceType="t3.small", MinCount=1, MaxCount=1, DryRun=True
        ),
        lambda ec2: ec2.terminate_instances(InstanceIds=[tagged(ec2)], DryRun=True),
        lambda ec2: ec2.describe_spot_price_history(DryRun=True),
    ],
)
def test_a_dry_run_that_is_permitted_is_told_so_and_does_nothing(
    ec2: Any, lab: AwsLab, ask: Callable[[Any], object]
) -> None:
    assert refusal(lambda: ask(ec2))[:2] == ("DryRunOperation", 412)
    assert set(lab.instances(REGION).values()) <= {"running"}


@pytest.mark.parametrize("dry", [False, True])
def test_what_is_not_permitted_is_refused_dry_run_or_not(
    ec2: Any, lab: AwsLab, *, dry: bool
) -> None:
    lab.faults.deny("ec2", "RunInstances")
    code, status, words = refusal(lambda: launch(ec2, DryRun=dry))
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert "ec2:RunInstances" in words
    assert lab.instances(REGION) == {}


def test_a_dry_run_knows_neither_quota_nor_capacity(ec2: Any, lab: AwsLab) -> None:
    lab.cloud.quotas.applied["L-34B43A08"] = 0.0
    lab.faults.limit(0)
    assert refusal(lambda: spot(ec2, DryRun=True))[0] == "DryRunOperation"
    assert refusal(lambda: spot(ec2))[0] == "MaxSpotInstanceCountExceeded"


def test_an_image_must_be_of_the_sizes_architecture(ec2: Any, lab: AwsLab) -> None:
    code, status, words = refusal(lambda: launch(ec2, ImageId=ARM))
    assert (code, status) == ("InvalidParameterValue", 400)
    assert "'x86_64' of the specified instance type" in words
    assert launch(ec2, ImageId=ARM, InstanceType="t4g.small")
    assert len(lab.instances(REGION)) == 1


@pytest.mark.parametrize("dry", [False, True])
def test_an_image_that_is_not_there_is_not_found(ec2: Any, *, dry: bool) -> None:
    code, status, _ = refusal(lambda: launch(ec2, ImageId="ami-0aaaaaaaaaaaaaaaa", DryRun=dry))
    assert (code, status) == ("InvalidAMIID.NotFound", 400)


@pytest.mark.parametrize("dry", [False, True])
def test_an_image_that_its_owner_does_not_share_is_not_for_us(
    ec2: Any, lab: AwsLab, *, dry: bool
) -> None:
    lab.cloud.rules.private_images.add(OWN_IMAGE)
    code, status, words = refusal(lambda: launch(ec2, ImageId=OWN_IMAGE, DryRun=dry))
    assert (code, status, words) == (
        "AuthFailure",
        401,
        f"Not authorized for images: [{OWN_IMAGE}]",
    )
    assert OWN_IMAGE not in {one["ImageId"] for one in ec2.describe_images()["Images"]}


def test_no_spot_instance_without_the_spot_role(ec2: Any, lab: AwsLab) -> None:
    lab.cloud.roles.spot = False
    code, status, _ = refusal(lambda: spot(ec2))
    assert (code, status) == ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403)
    assert launch(ec2)
