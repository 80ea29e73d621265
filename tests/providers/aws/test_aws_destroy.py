"""Ending nodes, and what they leave behind."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import Node, NodeState, Resource
from spotdeploy_aws.destroy import KINDS
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import REGION, SCOPE, Clock, batch, offer


def stale(id_: str) -> Node:
    """A node that AWS does not know."""
    return Node(id=id_, name=id_, provider="aws", location=REGION, state=NodeState.PENDING)


def test_a_stale_id_in_the_batch_does_not_keep_the_others(
    provider: AwsProvider, lab: AwsLab
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    provider.destroy([nodes[0], stale("i-00000000000000bad"), *nodes[1:], stale("i-0badbadbad")])
    assert lab.instances(REGION) == {}


def test_only_a_fresh_listing_tells_that_a_stale_id_is_gone(
    provider: AwsProvider, lab: AwsLab
) -> None:
    clock = Clock()
    lab.timing.clock, lab.timing.listing_delay = clock, 10
    (node,) = provider.create(offer(), batch(1)).nodes
    assert provider.nodes(SCOPE) == []
    provider.destroy([node])
    assert list(lab.instances(REGION)) == [node.id]
    clock.now += 10
    assert [found.id for found in provider.nodes(SCOPE)] == [node.id]
    provider.destroy([node])
    assert lab.instances(REGION) == {}


def test_an_id_of_another_cloud_is_success(provider: AwsProvider, lab: AwsLab) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    lab.faults.refuse("TerminateInstances", "InvalidInstanceID.Malformed", 'Invalid id: "web-1"')
    provider.destroy([stale("web-1"), node])
    assert lab.instances(REGION) == {}


def test_destroying_nothing_calls_nothing(provider: AwsProvider, lab: AwsLab) -> None:
    provider.destroy([])
    provider.release([])
    assert lab.calls == []


def test_a_protected_instance_does_not_keep_the_others(provider: AwsProvider, lab: AwsLab) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    kept = nodes[1].id
    lab.faults.protect(kept)
    with pytest.raises(ProviderError, match="may not be terminated"):
        provider.destroy(nodes)
    assert list(lab.instances(REGION)) == [kept]


def test_a_refusal_that_names_no_instance_is_tried_one_by_one(
    provider: AwsProvider, lab: AwsLab
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    lab.faults.refuse("TerminateInstances", "IncorrectInstanceState", "some instance is busy")
    provider.destroy(nodes)
    assert lab.instances(REGION) == {}


GONE = "i-0dddddddddddddddd"


@pytest.mark.parametrize("stale_ids", [[GONE], [GONE, "i-0bbbbbbbbbbbbbbbb"]])
def test_an_id_that_is_gone_does_not_keep_the_others_where_a_policy_asks_for_tags(
    provider: AwsProvider, lab: AwsLab, stale_ids: list[str]
) -> None:
    lab.cloud.only_tagged = True
    nodes = provider.create(offer(), batch(3)).nodes
    provider.destroy([nodes[0], *map(stale, stale_ids), *nodes[1:]])
    assert lab.instances(REGION) == {}
    provider.destroy([*map(stale, stale_ids), *nodes])


def test_a_denial_that_names_no_instance_is_tried_one_by_one(
    provider: AwsProvider, lab: AwsLab
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    lab.faults.refuse("TerminateInstances", "UnauthorizedOperation", "not you", status=403)
    provider.destroy(nodes)
    assert lab.instances(REGION) == {}


def test_a_living_instance_that_may_not_be_ended_is_named_and_keeps_no_other(
    provider: AwsProvider, lab: AwsLab
) -> None:
    lab.cloud.only_tagged = True
    nodes = provider.create(offer(), batch(3)).nodes
    kept = nodes[1].id
    tag = {"ResourceId.1": kept, "Tag.1.Key": "spotdeploy-deployment"}
    lab.ask(REGION, {"Action": "DeleteTags", **tag})
    with pytest.raises(CredentialsError, match=f"not authorized.*{kept}"):
        provider.destroy([nodes[0], stale(GONE), *nodes[1:]])
    assert list(lab.instances(REGION)) == [kept]


def test_an_account_that_may_end_nothing_is_told_so(provider: AwsProvider, lab: AwsLab) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    lab.faults.refuse("TerminateInstances", "UnauthorizedOperation", "no", times=9, status=403)
    with pytest.raises(CredentialsError, match="UnauthorizedOperation"):
        provider.destroy(nodes)
    assert len(lab.instances(REGION)) == 3


@pytest.mark.parametrize(
    ("code", "kind"),
    [("RequestLimitExceeded", ThrottledError), ("ExpiredToken", CredentialsError)],
)
def test_throttling_and_credentials_are_not_taken_for_a_bad_instance(
    provider: AwsProvider, lab: AwsLab, code: str, kind: type[ProviderError]
) -> None:
    nodes = provider.create(offer(), batch(3)).nodes
    lab.faults.refuse("TerminateInstances", code, "no")
    with pytest.raises(kind):
        provider.destroy(nodes)
    assert lab.called().count("TerminateInstances") == 1


def test_shutting_down_is_going_and_not_gone(provider: AwsProvider, lab: AwsLab) -> None:
    clock = Clock()
    lab.timing.clock, lab.timing.going = clock, 30
    (node,) = provider.create(offer(), batch(1)).nodes
    provider.destroy([node])
    (seen,) = provider.nodes(SCOPE)
    assert (seen.state, seen.cloud_state) == (NodeState.GOING, "shutting-down")
    clock.now += 30
    assert provider.nodes(SCOPE) == []


def test_a_group_still_in_use_stays_for_the_next_try(provider: AwsProvider, lab: AwsLab) -> None:
    clock = Clock()
    lab.timing.clock, lab.timing.going = clock, 30
    (node,) = provider.create(offer(), batch(1)).nodes
    provider.destroy([node])
    left = provider.leftovers(SCOPE)
    provider.release(left)
    assert [thing.kind for thing in provider.leftovers(SCOPE)] == ["security group"]
    clock.now += 30
    provider.release(left)
    assert provider.leftovers(SCOPE) == []


def test_everything_labelled_is_a_leftover_until_it_is_released(
    provider: AwsProvider, lab: AwsLab
) -> None:
    tags = "TagSpecification.1.Tag.1"
    label = {f"{tags}.Key": "spotdeploy-deployment", f"{tags}.Value": "shop"}
    volume = {
        "AvailabilityZone": "us-west-2a",
        "Size": "1",
        "TagSpecification.1.ResourceType": "volume",
    }
    lab.ask(REGION, {"Action": "CreateVolume", **volume, **label})
    subnet = provider._cloud.network.places[0].subnet
    interface = {"SubnetId": subnet, "TagSpecification.1.ResourceType": "network-interface"}
    lab.ask(REGION, {"Action": "CreateNetworkInterface", **interface, **label})
    provider.destroy(provider.create(offer(), batch(1)).nodes)
    left = provider.leftovers(SCOPE)
    assert sorted(thing.kind for thing in left) == ["network interface", "security group", "volume"]
    assert all(thing.labels["spotdeploy-deployment"] == "shop" for thing in left)
    provider.release(left)
    assert provider.leftovers(SCOPE) == []
    provider.release(left)


def test_a_refused_leftover_does_not_keep_the_others(provider: AwsProvider, lab: AwsLab) -> None:
    label = {
        "TagSpecification.1.Tag.1.Key": "spotdeploy-deployment",
        "TagSpecification.1.Tag.1.Value": "shop",
    }
    volume = {
        "AvailabilityZone": "us-west-2a",
        "Size": "1",
        "TagSpecification.1.ResourceType": "volume",
    }
    for _ in range(2):
        lab.ask(REGION, {"Action": "CreateVolume", **volume, **label})
    lab.faults.refuse("DeleteVolume", "IncorrectState", "the volume is being modified")
    with pytest.raises(ProviderError, match="being modified"):
        provider.release(provider.leftovers(SCOPE))
    assert len(provider.leftovers(SCOPE)) == 1


@pytest.mark.parametrize("kind", ["network interface", "volume", "security group"])
def test_a_leftover_that_is_gone_does_not_keep_the_others_where_a_policy_asks_for_tags(
    provider: AwsProvider, lab: AwsLab, kind: str
) -> None:
    provider.destroy(provider.create(offer(), batch(1)).nodes)
    things = provider.leftovers(SCOPE)
    lab.cloud.only_tagged = True
    ids = {"network interface": "eni-0123456789abcdef0", "volume": "vol-0abc"}
    gone = Resource(kind, ids.get(kind, "sg-0abc"), "aws", REGION)
    provider.release([gone, *things])
    assert provider.leftovers(SCOPE) == []


def test_a_leftover_that_may_not_be_deleted_is_named(provider: AwsProvider, lab: AwsLab) -> None:
    volume = {"AvailabilityZone": "us-west-2a", "Size": "1"}
    made = lab.ask(REGION, {"Action": "CreateVolume", **volume}).xml()
    strange = Resource("volume", str(made.findtext("{*}volumeId")), "aws", REGION)
    provider.destroy(provider.create(offer(), batch(1)).nodes)
    lab.cloud.only_tagged = True
    with pytest.raises(CredentialsError, match=f"volume/{strange.id}"):
        provider.release([strange, *provider.leftovers(SCOPE)])
    assert provider.leftovers(SCOPE) == []


def parsed(line: str) -> dict[str, list[str]]:
    """An `aws ec2` command as the AWS CLI reads it, which makes its commands and arguments from
    botocore's service model: https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-commandstructure.html
    """
    service: Any = Session().get_service_model("ec2")
    program, noun, verb, *rest = shlex.split(line)
    assert (program, noun) == ("aws", "ec2")
    names = {xform_name(name, "-"): name for name in service.operation_names}
    shape = service.operation_model(names[verb]).input_shape
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--region", required=True)
    for member, its in shape.members.items():
        parser.add_argument(
            f"--{xform_name(member, '-')}",
            nargs="+" if its.type_name == "list" else 1,
            required=member in shape.required_members,
        )
    return {key: value for key, value in vars(parser.parse_args(rest)).items() if value}


def test_every_command_by_hand_is_one_that_the_aws_cli_reads(provider: AwsProvider) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    things = [Resource(kind.name, f"x-{n}", "aws", REGION) for n, kind in enumerate(KINDS)]
    every: list[Node | Resource] = [node, *things]
    for thing in every:
        read = parsed(provider.manual_delete_command(thing))
        assert [thing.id] in read.values(), thing
    read = parsed(provider.manual_list_command(SCOPE))
    assert read["filters"] == ["Name=tag:spotdeploy-deployment,Values=shop"]


def test_the_manual_delete_command_is_given_for_every_kind(provider: AwsProvider) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    assert provider.manual_delete_command(node) == (
        f"aws ec2 terminate-instances --instance-ids {node.id} --region {REGION}"
    )
    (group, *_) = [t for t in provider.leftovers(SCOPE) if t.kind == "security group"]
    assert provider.manual_delete_command(group) == (
        f"aws ec2 delete-security-group --group-id {group.id} --region {REGION}"
    )
    assert provider.manual_list_command(SCOPE) == (
        "aws ec2 describe-tags --filters Name=tag:spotdeploy-deployment,Values=shop "
        f"--region {REGION}"
    )
