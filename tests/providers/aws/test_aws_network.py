"""The security group of a run."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from spotdeploy import labels
from spotdeploy.errors import ConfigError, ProviderError, ThrottledError
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_aws.network import PAUSES, member_permissions, permissions
from spotdeploy_aws.provider import AwsProvider
from spotdeploy_aws.schemas import Parameters
from spotdeploy_libcloud.network import Ingress
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import (
    LABELS,
    REGION,
    SCOPE,
    Clock,
    MakeProvider,
    batch,
    offer,
    on_the_wire,
)

PERMISSION = ("IpProtocol", "FromPort", "ToPort", "Groups.1.GroupId")


def rules(lab: AwsLab) -> dict[str, set[tuple[str, str]]]:
    """Id of each of our groups to what it lets in: (port, CIDR)."""
    question = {
        "Action": "DescribeSecurityGroups",
        "Filter.1.Name": "tag:spotdeploy-deployment",
        "Filter.1.Value.1": "shop",
    }
    root = lab.ask(REGION, question).xml()
    return {
        str(group.findtext("{*}groupId")): {
            (str(rule.findtext("{*}fromPort")), str(cidr.text))
            for rule in group.findall("{*}ipPermissions/{*}item")
            for cidr in rule.iterfind(".//{*}cidrIp")
        }
        for group in root.findall(".//{*}securityGroupInfo/{*}item")
    }


def test_only_ssh_and_the_configured_ports_are_open_and_only_to_the_caller(
    provider: AwsProvider, lab: AwsLab
) -> None:
    provider.create(offer(), batch(1, open_ports=(8080,)))
    ((_, allowed),) = rules(lab).items()
    assert allowed == {("22", "127.0.0.1/32"), ("8080", "127.0.0.1/32")}


def test_given_cidrs_replace_the_callers_address(provider: AwsProvider, lab: AwsLab) -> None:
    provider.create(offer(), batch(1, allow_from=("10.0.0.0/8", "192.0.2.7/32")))
    ((_, allowed),) = rules(lab).items()
    assert allowed == {("22", "10.0.0.0/8"), ("22", "192.0.2.7/32")}


def test_an_ipv6_source_goes_into_the_ipv6_ranges() -> None:
    asked: Parameters = {
        "GroupId": "sg-1",
        "IpPermissions": permissions(Ingress((), ("2001:db8::/64",))),
    }
    parameters = on_the_wire("AuthorizeSecurityGroupIngress", asked)
    assert parameters["IpPermissions.1.Ipv6Ranges.1.CidrIpv6"] == "2001:db8::/64"
    assert not [name for name in parameters if "IpRanges" in name]


def test_ports_between_nodes_are_open_to_a_group_that_all_of_them_are_in(
    provider: AwsProvider, lab: AwsLab
) -> None:
    ports = (PortRange("7946"), PortRange("4222-4223/udp"))
    (node,) = provider.create(offer(), batch(1, open_between=ports)).nodes
    (silent,) = provider.create(offer(), batch(1, token="token-1", open_between=())).nodes
    (members,) = (one for one, allowed in rules(lab).items() if not allowed)
    own, other = (lab.cloud.known[one.id].groups for one in (node, silent))
    assert (own[1], other[1]) == (members, members)
    assert own[0] != other[0]
    calls = [one for one in lab.calls if one.action == "AuthorizeSecurityGroupIngress"]
    (call,) = [one for one in calls if one.parameters["GroupId"] == own[0]]
    found = {
        tuple(call.parameters[f"IpPermissions.{n}.{key}"] for key in PERMISSION) for n in (2, 3)
    }
    assert found == {("tcp", "7946", "7946", members), ("udp", "4222", "4223", members)}


def test_nodes_elsewhere_are_let_in_by_protocol_and_version_and_what_changed_alone_is_sent(
    provider: AwsProvider, lab: AwsLab
) -> None:
    asked = batch(1, open_ports=(7946,), open_between=ALL_PORTS)
    provider.create(offer(), asked)
    provider.admit(asked, ("192.0.2.9", "2001:db8::9"))
    provider.admit(asked, ("192.0.2.9", "192.0.2.10"))
    provider.admit(asked, ("192.0.2.9", "192.0.2.10"))
    changes = [one for one in lab.calls if "SecurityGroupIngress" in one.action][-3:]
    found = [
        (
            call.action.removesuffix("SecurityGroupIngress"),
            sorted(value for key, value in call.parameters.items() if key.endswith("IpProtocol")),
            {value for key, value in call.parameters.items() if ".Cidr" in key},
        )
        for call in changes
    ]
    assert found == [
        (
            "Authorize",
            ["icmp", "icmpv6", "tcp", "tcp", "udp", "udp"],
            {"192.0.2.9/32", "2001:db8::9/128"},
        ),
        ("Revoke", ["icmpv6", "tcp", "udp"], {"2001:db8::9/128"}),
        ("Authorize", ["icmp", "tcp", "udp"], {"192.0.2.10/32"}),
    ]


def test_an_address_that_is_let_in_anyway_is_let_in_once_and_stays(
    provider: AwsProvider, lab: AwsLab
) -> None:
    asked = batch(
        1, open_ports=(7946,), allow_from=("192.0.2.9/32",), open_between=(PortRange("7946"),)
    )
    provider.create(offer(), asked)
    before = rules(lab)
    for addresses in (["192.0.2.9"], []):
        provider.admit(asked, addresses)
        assert rules(lab) == before


def test_rules_that_ec2_has_and_does_not_list_yet_are_waited_for(
    provider: AwsProvider, lab: AwsLab
) -> None:
    asked = batch(1, open_between=(PortRange("7946"),))
    provider.create(offer(), asked)
    words = 'the specified rule "peer: 192.0.2.9/32, TCP" already exists'
    lab.faults.refuse("AuthorizeSecurityGroupIngress", "InvalidPermission.Duplicate", words)
    with pytest.raises(ThrottledError, match="already exists"):
        provider.admit(asked, ["192.0.2.9"])
    provider.admit(asked, ["192.0.2.9"])


def test_groups_go_in_an_order_in_which_none_is_named_by_another(
    provider: AwsProvider, lab: AwsLab
) -> None:
    provider.create(offer(), batch(1, open_between=ALL_PORTS))
    provider.create(offer(), batch(1, token="token-1", open_between=()))
    provider.destroy(provider.nodes(SCOPE))
    found = provider.leftovers(SCOPE)
    assert len(found) == 3
    provider.release(sorted(found, key=lambda thing: not thing.detail.endswith("-nodes")))
    assert rules(lab) == {}


@pytest.mark.parametrize(
    ("between", "protocols"),
    [(ALL_PORTS, ["tcp", "udp", "icmp"]), ((PortRange("1-65535"),), ["tcp"]), ((), [])],
)
def test_ping_gets_through_between_nodes_where_everything_does(
    between: tuple[PortRange, ...], protocols: list[str]
) -> None:
    asked: Parameters = {"GroupId": "sg-1", "IpPermissions": member_permissions("sg-2", between)}
    parameters = on_the_wire("AuthorizeSecurityGroupIngress", asked)
    found = [value for name, value in parameters.items() if name.endswith(".IpProtocol")]
    assert found == protocols
    assert not [name for name in parameters if "Ranges" in name]


def test_batches_of_a_run_share_one_group_which_carries_the_runs_labels(
    make: MakeProvider, lab: AwsLab
) -> None:
    make().create(offer(), batch(1))
    make().create(offer("us-west-2b"), batch(1, token="token-1"))
    assert len(rules(lab)) == 1
    (made,) = [call for call in lab.calls if call.action == "CreateSecurityGroup"]
    tags = made.tags_for("security-group")
    assert tags[labels.RUN] == LABELS[labels.RUN]
    assert labels.BATCH not in tags


def test_a_group_whose_making_was_cut_short_is_completed(make: MakeProvider, lab: AwsLab) -> None:
    lab.faults.lose_request("AuthorizeSecurityGroupIngress")
    with pytest.raises(ThrottledError):
        make().create(offer(), batch(1))
    make().create(offer(), batch(1))
    ((_, allowed),) = rules(lab).items()
    assert allowed == {("22", "127.0.0.1/32")}


def test_a_group_whose_making_got_no_answer_is_found_again(make: MakeProvider, lab: AwsLab) -> None:
    lab.faults.lose_reply("CreateSecurityGroup")
    with pytest.raises(ThrottledError):
        make().create(offer(), batch(1))
    make().create(offer(), batch(1))
    assert len(rules(lab)) == 1


@pytest.fixture
def clock(lab: AwsLab, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The lab's clock, which goes on while the provider sleeps."""
    clock = Clock()
    lab.timing.clock = clock
    monkeypatch.setattr("spotdeploy_aws.network.sleep", clock.sleep)
    return clock


@pytest.mark.parametrize(("late", "tries"), [(0.0, 1), (9.0, 1), (75.0, 8), (110.0, 8)])
def test_a_group_that_ec2_knows_late_is_waited_for(
    make: MakeProvider, lab: AwsLab, clock: Clock, late: float, tries: int
) -> None:
    lab.timing.group_delay = late
    provider, began = make(), clock.now
    created = None
    for _ in range(tries):  # as often as the core repeats a throttled call
        before = clock.now
        with suppress(ThrottledError):
            created = provider.create(offer(), batch(1))
            break
        assert clock.now - before == sum(PAUSES) <= 15
    assert created is not None
    assert clock.now - began <= late + 15
    ((_, allowed),) = rules(lab).items()
    assert allowed == {("22", "127.0.0.1/32")}


def test_a_group_that_someone_deleted_is_made_again(
    provider: AwsProvider, lab: AwsLab, clock: Clock
) -> None:
    (first,) = provider.create(offer(), batch(1)).nodes
    lab.end([first.id])
    (group,) = rules(lab)
    assert lab.ask(REGION, {"Action": "DeleteSecurityGroup", "GroupId": group}).ok
    with pytest.raises(ThrottledError):
        provider.create(offer(), batch(1, token="token-1"))
    assert len(provider.create(offer(), batch(1, token="token-1")).nodes) == 1
    assert list(rules(lab)) != [group]


def test_another_refusal_is_not_waited_for(
    provider: AwsProvider, lab: AwsLab, clock: Clock
) -> None:
    lab.faults.refuse("AuthorizeSecurityGroupIngress", "InvalidParameterValue", "no such CIDR")
    before = clock.now
    with pytest.raises(ProviderError, match="no such CIDR"):
        provider.create(offer(), batch(1))
    assert clock.now == before


def test_given_subnets_are_used_and_their_order_kept(make: MakeProvider, lab: AwsLab) -> None:
    root = lab.ask(REGION, {"Action": "DescribeSubnets"}).xml()
    subnets = [str(found.text) for found in root.iterfind(".//{*}subnetId")]
    chosen = [subnets[2], subnets[0]]
    provider = make(subnets=chosen)
    zones = [place.zone for place in provider._cloud.network.places]
    (node,) = provider.create(offer(zones[0]), batch(1)).nodes
    assert node.zone == zones[0]
    (launch,) = [call for call in lab.calls if call.action == "RunInstances"]
    assert launch.parameters["NetworkInterface.1.SubnetId"] == chosen[0]


def test_subnets_of_another_region_are_named_in_the_error(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="subnet-0123 is in us-west-2"):
        make(subnets=["subnet-0123"]).create(offer(), batch(1))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"address": "private"}, "allow_from is needed"),
        ({"address_service": "http://127.0.0.1:9/"}, "cannot ask"),
        ({"address_service": "file:///etc/hostname"}, "not http"),
    ],
)
def test_an_unknown_own_address_is_reported_with_a_remedy(
    make: MakeProvider, table: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, ProviderError), match=message) as caught:
        make(**table).create(offer(), batch(1))
    assert caught.value.hint
