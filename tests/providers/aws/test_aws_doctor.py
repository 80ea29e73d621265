"""What doctor finds."""

from __future__ import annotations

import os

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Pool
from spotdeploy.provider import problem_of
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import OWN_IMAGE
from tests.labs.aws.faults import DRY
from tests.providers.aws.conftest import REGION, MakeProvider, batch, offer


def test_a_healthy_account_has_no_problems_and_nothing_is_made(
    provider: AwsProvider, lab: AwsLab
) -> None:
    assert provider.doctor() == []
    assert lab.instances(REGION) == {}
    assert "CreateSecurityGroup" not in lab.called()
    ends = [call for call in lab.calls if call.action == "TerminateInstances"]
    assert [call.parameters["DryRun"] for call in ends] == ["true"]


@pytest.mark.parametrize("ours", [False, True])
def test_a_missing_right_to_end_is_found_by_a_dry_run(
    provider: AwsProvider, lab: AwsLab, *, ours: bool
) -> None:
    """Sure where there is an instance of ours; else a policy that asks for tags answers alike."""
    nodes = provider.create(offer(), batch(1)).nodes if ours else ()
    lab.faults.deny("ec2", "TerminateInstances")
    (problem,) = provider.doctor()
    assert "ec2:TerminateInstances" in problem.what
    assert "docs/providers/aws.md" in problem.remedy
    assert problem.fatal is ours
    assert list(lab.instances(REGION)) == [node.id for node in nodes]


def test_an_explicit_deny_of_the_right_to_end_is_sure(provider: AwsProvider, lab: AwsLab) -> None:
    words = "not authorized to perform: ec2:TerminateInstances with an explicit deny in a policy"
    lab.faults.refuse(f"TerminateInstances{DRY}", "UnauthorizedOperation", words, status=403)
    (problem,) = provider.doctor()
    assert problem.fatal


def test_a_policy_that_narrows_the_end_by_tag_is_no_problem(
    provider: AwsProvider, lab: AwsLab
) -> None:
    provider.create(offer(), batch(1))
    lab.cloud.only_tagged = True
    assert provider.doctor() == []


def test_a_missing_role_for_spot_is_a_warning_with_its_cure(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.cloud.roles.spot = False
    (warning,) = provider.doctor()
    assert not warning.fatal
    assert "AWSServiceRoleForEC2Spot" in warning.what
    assert "aws iam create-service-linked-role" in warning.remedy


def test_a_role_for_spot_that_may_not_be_looked_for_is_no_finding(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.deny("iam", "GetRole")
    assert provider.doctor() == []


def test_the_account_is_the_credentials_own(provider: AwsProvider) -> None:
    assert provider.account() == "123456789012"


def test_missing_credentials_are_a_problem_with_a_remedy(provider: AwsProvider) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del os.environ[name]
    (problem,) = provider.doctor()
    assert "no AWS credentials" in problem.what
    assert problem.remedy
    assert problem.fatal


def test_another_account_than_the_configured_one_is_a_problem(make: MakeProvider) -> None:
    (problem,) = make(account="999999999999").doctor()
    assert "999999999999" in problem.what


def test_a_missing_permission_to_launch_is_found_by_a_dry_run(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.refuse(
        f"RunInstances{DRY}",
        "UnauthorizedOperation",
        "You are not authorized to perform this operation",
        status=403,
    )
    (problem,) = provider.doctor()
    assert "not authorized" in problem.what
    assert "docs/providers/aws.md" in problem.remedy
    (asked,) = [call for call in lab.calls if call.action == "RunInstances"]
    assert asked.parameters["DryRun"] == "true"


def test_a_region_without_a_default_vpc_is_a_problem_with_its_command(
    provider: AwsProvider, lab: AwsLab
) -> None:
    root = lab.ask(REGION, {"Action": "DescribeSubnets"}).xml()
    for found in root.iterfind(".//{*}subnetId"):
        lab.ask(REGION, {"Action": "DeleteSubnet", "SubnetId": str(found.text)})
    problems = provider.doctor()
    assert problems[0].what == f"there is no default VPC in {REGION}"
    assert f"aws ec2 create-default-vpc --region {REGION}" in problems[0].remedy


def test_a_size_that_is_not_sold_is_a_warning_while_another_is(make: MakeProvider) -> None:
    (warning,) = make(sizes=["t3.small", "z9.huge"]).doctor()
    assert "z9.huge is not sold" in warning.what
    assert not warning.fatal
    (problem,) = make(sizes=["z9.huge"]).doctor()
    assert problem.fatal


def test_an_image_that_does_not_exist_is_a_problem(make: MakeProvider) -> None:
    (problem,) = make(image="nothing-*").doctor()
    assert "no x86_64 image 'nothing-*'" in problem.what


def test_a_region_that_is_switched_off_is_a_problem(provider: AwsProvider, lab: AwsLab) -> None:
    message = "AWS was not able to validate the provided access credentials"
    lab.faults.refuse("DescribeSubnets", "AuthFailure", message, times=9, status=401)
    problem = provider.doctor()[0]
    assert message in problem.what
    assert "enabled" in problem.remedy


def test_a_warning_hides_no_missing_permission(make: MakeProvider, lab: AwsLab) -> None:
    words = "You are not authorized to perform this operation"
    lab.faults.refuse(f"RunInstances{DRY}", "UnauthorizedOperation", words, status=403)
    warning, problem = make(sizes=["z9.huge", "t3.small"]).doctor()
    assert not warning.fatal
    assert problem.fatal
    assert "not authorized" in problem.what


def test_every_size_must_have_an_image_of_its_architecture(make: MakeProvider) -> None:
    (problem,) = make(sizes=["t3.small", "t4g.small"], image=OWN_IMAGE).doctor()
    assert f"no arm64 image '{OWN_IMAGE}'" in problem.what
    assert problem.exit_code == 2


def test_an_overloaded_cloud_is_asked_again_and_not_called_a_problem(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.throttle("DescribeSubnets")
    with pytest.raises(ThrottledError):
        provider.doctor()
    assert provider.doctor() == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"root_volume_gb": 29},
            f"provider.aws.root_volume_gb is 29, and image {OWN_IMAGE} needs 30",
        ),
        ({"tags": {"AWS:x": "1"}}, "'AWS:x' begins with aws:"),
        ({"tags": {"k" * 129: ""}}, "too long"),
        ({"tags": {"k": "v" * 257}}, "too long"),
        ({"tags": {f"k{n}": "" for n in range(50)}}, "has 50 tags"),
        ({"address": "private"}, 'allow_from is needed when provider.aws.address is "private"'),
        ({"address_service": "http://127.0.0.1:9"}, "cannot ask http://127.0.0.1:9"),
    ],
)
def test_what_ec2_would_refuse_of_a_batch_is_known_before(
    make: MakeProvider, lab: AwsLab, table: dict[str, object], message: str
) -> None:
    lab.cloud.image_sizes[OWN_IMAGE] = 30
    fits = {"image": OWN_IMAGE, "root_volume_gb": 30}
    assert make(**fits).objections(Pool(1), batch()) == []
    (problem,) = make(**{**fits, **table}).objections(Pool(1), batch())
    assert problem.fatal
    assert message in problem.what
    assert {call.action[:3] for call in lab.calls} == {"Des", "Get"}


def test_a_volume_that_is_too_small_is_refused_by_ec2_itself(
    make: MakeProvider, lab: AwsLab
) -> None:
    lab.cloud.image_sizes[OWN_IMAGE] = 30
    with pytest.raises(ProviderError, match="expect size >= 30GB"):
        make(image=OWN_IMAGE).create(offer(), batch())


def test_a_misspelt_size_is_answered_with_the_nearest(make: MakeProvider) -> None:
    problems = make(sizes=["t3.smal"]).doctor()
    assert [one.remedy for one in problems if "t3.smal is not sold" in one.what] == [
        "did you mean t3.small? check provider.aws.sizes"
    ]


def test_a_region_that_nobody_knows_is_answered_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody is there
    remedies = {}
    for region in ("us-esat-1", "us-east-1"):
        provider = AwsProvider(AwsConfig(regions=(region,), sizes=("t3.small",)), region)
        try:
            problems = provider.doctor()
        except ThrottledError as error:
            problems = [problem_of(error)]
        remedies[region] = problems[0].remedy
    assert "us-east-1" not in remedies["us-east-1"]
    assert remedies["us-esat-1"].startswith("did you mean us-east-1? ")
