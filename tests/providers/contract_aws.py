"""The contract's lab for the AWS provider: moto, made to behave like EC2."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from spotdeploy.model import Node
from spotdeploy.testing import Facts, Powers, ProviderContract
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.fault_queue import ANY

REGION = "eu-west-1"


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
        return AwsConfig(regions=(REGION,), sizes=("t3.small",), address_service=aws.url)

    @pytest.fixture
    def calls(self, aws: AwsLab) -> Callable[[], int]:
        return lambda: len(aws.calls)

    @pytest.fixture
    def facts(self) -> Facts:
        return Facts(unknown_id="i-00000000000000bad", settle=0.4, poll=0.02)

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
