"""The contract's lab for the AWS provider: moto, made to behave like EC2."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

import pytest

from spotdeploy.model import Node
from spotdeploy.ports import PortRange
from spotdeploy.testing import Facts, Powers, ProviderContract
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.call import ACCOUNT, get
from tests.labs.aws.lab import REGIONS
from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.aws.reaching import between
from tests.labs.fault_queue import ANY

REGION, OTHER_REGION = "eu-west-1", "us-west-2"
NOTICE = '{"action": "terminate", "time": "2026-11-26T12:00:00Z"}'
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
KINDS = {
    "DescribeVolumes": "volumeSet/{*}item/{*}volumeId",
    "DescribeNetworkInterfaces": "networkInterfaceSet/{*}item/{*}networkInterfaceId",
    "DescribeSecurityGroups": "securityGroupInfo/{*}item/{*}groupId",
    "DescribeKeyPairs": "keySet/{*}item/{*}keyPairId",
    "DescribeAddresses": "addressesSet/{*}item/{*}allocationId",
    "DescribeLaunchTemplates": "launchTemplates/{*}item/{*}launchTemplateId",
}
"""Action that lists all of a kind, to where the ids are in its answer."""


class Contract(ProviderContract):
    """All powers there are."""

    @pytest.fixture(scope="class")
    @classmethod
    def moto(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
        with running_moto(tmp_path_factory.mktemp("moto")) as server:
            yield server

    @pytest.fixture
    def aws(
        self,
        moto: MotoServer,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[AwsLab]:
        with AwsLab(tmp_path_factory.mktemp("aws"), moto) as aws:
            aws.timing.going = 0.3
            aws.timing.listing_delay = 0.3
            for name, value in aws.environment.items():
                monkeypatch.setenv(name, value)
            yield aws
            assert aws.wrong == []

    @pytest.fixture
    def provider_class(self) -> type[AwsProvider]:
        return AwsProvider

    @pytest.fixture
    def config(self, aws: AwsLab) -> AwsConfig:
        return AwsConfig(
            regions=(REGION, OTHER_REGION), sizes=("t3.small",), address_service=aws.url
        )

    @pytest.fixture
    def calls(self, aws: AwsLab) -> Callable[[], int]:
        return lambda: len(aws.calls)

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(
            unknown_id="i-00000000000000bad",
            account=ACCOUNT,
            notice=NOTICE,
            test_within=120.0,
            settle=0.4,
            poll=0.02,
        )

    @pytest.fixture
    def powers(self, aws: AwsLab) -> Powers:
        def stop(node: Node) -> None:
            aws.ask(REGION, {"Action": "StopInstances", "InstanceId.1": node.id})

        return Powers(
            no_capacity=lambda: aws.faults.limit(0),
            used_up_quota=lambda: aws.faults.limit(0, code="MaxSpotInstanceCountExceeded"),
            limit_to=aws.faults.limit,
            lose_reply=lambda: aws.faults.lose_reply("RunInstances"),
            throttle=lambda: aws.faults.throttle(ANY, 100),
            outage=lambda: aws.faults.refuse(
                ANY, "InternalError", "An internal error has occurred.", times=1000, status=500
            ),
            openings=lambda node: openings(aws, node),
            reaches=lambda source, target, port: reaches(aws, source, target, port),
            inventory=lambda: inventory(aws),
            expire_credentials=lambda: aws.faults.refuse(
                ANY, "RequestExpired", "Request has expired.", times=100
            ),
            protect=lambda node: aws.faults.protect(node.id),
            stop=stop,
            interrupt=lambda node: aws.interrupt(node.id),
            vanish=lambda node: aws.forget(node.id),
            user_data_of=lambda node: base64.b64decode(aws.cloud.known[node.id].user_data),
            remains=lambda _: aws.remains(),
            heal=aws.faults.clear,
        )


def inventory(aws: AwsLab) -> Iterator[str]:
    """All that moto holds, whatever its tags."""
    for region in REGIONS:
        yield from aws.instances(region)
        for action, path in KINDS.items():
            for found in aws.ask(region, {"Action": action}).xml().iterfind(f"{{*}}{path}"):
                yield f"{region} {found.text}"


def openings(aws: AwsLab, node: Node) -> Iterator[tuple[int, str]]:
    """What the security groups of an instance let in."""
    groups = {f"GroupId.{n}": id_ for n, id_ in enumerate(aws.cloud.known[node.id].groups, 1)}
    root = aws.ask(REGION, {"Action": "DescribeSecurityGroups", **groups}).xml()
    for rule in root.iterfind("{*}securityGroupInfo/{*}item/{*}ipPermissions/{*}item"):
        for cidr in _cidrs(rule) if get(rule, "ipProtocol") == "tcp" else ():
            for port in range(int(get(rule, "fromPort")), int(get(rule, "toPort")) + 1):
                yield port, cidr


def reaches(aws: AwsLab, source: Node, target: Node, port: PortRange) -> bool:
    """Whether the security groups of an instance let another one in."""
    known = aws.cloud.known
    found = between(aws, known[source.id], known[target.id])
    return any(one.holds(port) for one in found)


def _cidrs(rule: Element) -> list[str]:
    found = [*rule.iterfind("{*}ipRanges/{*}item"), *rule.iterfind("{*}ipv6Ranges/{*}item")]
    return [get(one, "cidrIp") or get(one, "cidrIpv6") for one in found]
