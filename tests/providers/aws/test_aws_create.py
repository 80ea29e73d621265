"""What create does when things go well, and when they don't."""

from __future__ import annotations

import base64
import os

import pytest

from spotdeploy import labels
from spotdeploy.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    RefusedError,
    ThrottledError,
)
from spotdeploy.model import Market
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import NEWEST_LTS
from tests.providers.aws.conftest import (
    LABELS,
    REGION,
    SCOPE,
    MakeProvider,
    batch,
    offer,
)


def test_a_machine_behind_a_lost_answer_is_found_by_its_label(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.lose_reply("RunInstances")
    with pytest.raises(LostReplyError, match="RunInstances in us-west-2"):
        provider.create(offer(), batch(2))
    found = provider.nodes({**SCOPE, labels.BATCH: "token-0"})
    assert {node.id for node in found} == set(lab.instances(REGION))
    assert len(found) == 2


def test_asking_again_after_a_lost_answer_gives_the_same_machines(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.lose_reply("RunInstances")
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    created = provider.create(offer(), batch(2))
    assert {node.id for node in created.nodes} == set(lab.instances(REGION))


def test_asking_again_after_a_lost_question_makes_the_machines(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.lose_request("RunInstances")
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert lab.instances(REGION) == {}
    assert len(provider.create(offer(), batch(2)).nodes) == 2


def test_an_internal_error_of_aws_leaves_the_outcome_open(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.refuse("RunInstances", "InternalError", "An internal error has occurred", status=500)
    with pytest.raises(LostReplyError, match="internal error"):
        provider.create(offer(), batch(1))


def test_two_of_three_are_used_and_the_shortfall_is_reported(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.faults.limit(2)
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 2
    assert created.shortfall == "EC2 had capacity for 2 of 3"


def test_no_capacity_is_reported_with_awss_own_message(provider: AwsProvider, lab: AwsLab) -> None:
    lab.faults.limit(0)
    with pytest.raises(CapacityError, match="do not have sufficient capacity") as caught:
        provider.create(offer(), batch(3))
    assert caught.value.code == "InsufficientInstanceCapacity"
    assert lab.instances(REGION) == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SpotMaxPriceTooLow", CapacityError),
        ("Unsupported", CapacityError),
        ("InsufficientFreeAddressesInSubnet", CapacityError),
        ("MaxSpotInstanceCountExceeded", QuotaError),
        ("VcpuLimitExceeded", QuotaError),
        ("UnauthorizedOperation", CredentialsError),
        ("RequestLimitExceeded", ThrottledError),
    ],
)
def test_a_refusal_is_typed_by_what_to_do_next(
    provider: AwsProvider, lab: AwsLab, code: str, kind: type[ProviderError]
) -> None:
    lab.faults.refuse("RunInstances", code, "message of AWS")
    with pytest.raises(kind, match=f"{code}: message of AWS") as caught:
        provider.create(offer(), batch(1))
    assert type(caught.value) is kind


@pytest.mark.parametrize(("count", "pause"), [(3, None), (240, None), (300, 150.0), (1200, 500.0)])
def test_a_throttled_launch_is_repeated_when_the_bucket_of_instances_can_serve_it(
    provider: AwsProvider, lab: AwsLab, count: int, pause: float | None
) -> None:
    lab.faults.throttle("RunInstances")
    with pytest.raises(ThrottledError) as caught:
        provider.create(offer(), batch(count))
    assert caught.value.retry_after == pause


def test_too_large_user_data_is_refused_before_anything_is_asked(
    provider: AwsProvider, lab: AwsLab
) -> None:
    with pytest.raises(ConfigError, match="20000 bytes"):
        provider.create(offer(), batch(1, user_data=b"x" * 20000))
    assert lab.calls == []


def test_user_data_reaches_the_instance_unchanged(provider: AwsProvider, lab: AwsLab) -> None:
    data = bytes(range(256)) * 60
    (node,) = provider.create(offer(), batch(1, user_data=data)).nodes
    question = {
        "Action": "DescribeInstanceAttribute",
        "InstanceId": node.id,
        "Attribute": "userData",
    }
    kept = lab.ask(REGION, question).xml().findtext(".//{*}userData/{*}value") or ""
    assert base64.b64decode(kept) == data


def test_an_on_demand_node_is_no_spot_node(provider: AwsProvider) -> None:
    (node,) = provider.create(offer(market=Market.ON_DEMAND), batch(1)).nodes
    assert node.market is Market.ON_DEMAND


def test_the_newest_lts_image_for_the_sizes_architecture_is_booted(
    provider: AwsProvider, lab: AwsLab
) -> None:
    provider.create(offer(), batch(1))
    provider.create(offer(size="t4g.small"), batch(1, token="token-1"))
    used = [c.parameters["ImageId"] for c in lab.calls if c.action == "RunInstances"]
    assert used == [NEWEST_LTS["x86_64"], NEWEST_LTS["arm64"]]


def test_an_image_that_is_gone_is_looked_up_again(provider: AwsProvider, lab: AwsLab) -> None:
    provider.create(offer(), batch(1))
    lab.ask(REGION, {"Action": "DeregisterImage", "ImageId": NEWEST_LTS["x86_64"]})
    lab.faults.refuse("RunInstances", "InvalidAMIID.NotFound", "The image id does not exist")
    provider.create(offer(), batch(1, token="token-1"))
    used = [c.parameters["ImageId"] for c in lab.calls if c.action == "RunInstances"]
    assert used == [NEWEST_LTS["x86_64"], NEWEST_LTS["x86_64"], "ami-0000000000002604f"]


def test_nothing_is_made_or_ended_in_another_account(make: MakeProvider, lab: AwsLab) -> None:
    node = make().create(offer(), batch(1)).nodes[0]
    guarded = make(account="999999999999")
    for forbidden in (
        lambda: guarded.create(offer(), batch(1, token="token-1")),
        lambda: guarded.destroy([node]),
        lambda: guarded.release(guarded.leftovers(SCOPE)),
    ):
        with pytest.raises(RefusedError, match=r"123456789012.*allows only 999999999999"):
            forbidden()
    assert list(lab.instances(REGION)) == [node.id]


def test_wrong_credentials_are_an_error_of_their_own(provider: AwsProvider) -> None:
    os.environ["AWS_SECRET_ACCESS_KEY"] = "not-the-secret"
    with pytest.raises(CredentialsError, match="SignatureDoesNotMatch"):
        provider.create(offer(), batch(1))


def test_every_label_is_on_instance_and_volume(provider: AwsProvider, lab: AwsLab) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    volumes = lab.ask(
        REGION,
        {
            "Action": "DescribeVolumes",
            "Filter.1.Name": "tag:spotdeploy-run",
            "Filter.1.Value.1": LABELS[labels.RUN],
        },
    ).xml()
    assert labels.matches(node.labels, LABELS)
    assert len(volumes.findall(".//{*}volumeSet/{*}item")) == 1
