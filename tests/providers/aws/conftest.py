"""An AWS lab without machines for each test, over one moto server for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.session import Session
from urllib3 import HTTPResponse

from spotdeploy import labels
from spotdeploy.config.load import decode
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_aws.auth import Chain
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from spotdeploy_aws.schemas import Parameters
from tests.labs.aws import AwsLab
from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.aws.wire_model import violations

REGION = "us-west-2"
ZONE = "us-west-2a"
SIZE = "t3.small"
LABELS = labels.for_batch("shop", "20260101-120000-abc123", "token-0", "d" * 40, 1_800_000_000)
SCOPE = labels.scope("shop")

MakeProvider = Callable[..., AwsProvider]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move it by so much."""
        self.now += seconds


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto's server."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def lab(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsLab]:
    """An empty AWS, found by the environment. At the end every call must have been one that EC2
    takes."""
    with AwsLab(tmp_path_factory.mktemp("lab"), moto) as lab:
        os.environ.update(lab.environment)
        yield lab
        assert lab.wrong == []


@pytest.fixture
def make(lab: AwsLab) -> MakeProvider:
    """Make a provider from keys of `[provider.aws]`."""

    def make(region: str = REGION, **table: Any) -> AwsProvider:
        table = {"address_service": lab.url, "sizes": [SIZE], **table}
        return AwsProvider(decode(table, AwsConfig, "spotdeploy.toml", "provider.aws"), region)

    return make


@pytest.fixture
def provider(make: MakeProvider) -> AwsProvider:
    """A provider with the default config."""
    return make()


def sent(client: Any, operation: str, parameters: Parameters) -> Any:
    """The request that a client of botocore's sends."""
    requests: list[Any] = []

    def keep(request: Any, **_: object) -> AWSResponse:
        requests.append(request)
        answer = f"<{operation}Response><{operation}Result/></{operation}Response>"
        body = HTTPResponse(BytesIO(answer.encode()), preload_content=False)
        return AWSResponse(request.url, 200, {}, body)

    client.meta.events.register("before-send", keep)
    getattr(client, xform_name(operation))(**parameters)
    return requests[0]


def url_of(profile: str | None = None, service: str = "ec2", region: str = "eu-west-1") -> str:
    """Where a request to a service goes."""
    operation = {"ec2": "DescribeRegions", "sts": "GetCallerIdentity"}[service]
    return str(sent(Chain(profile).client(service, region), operation, {}).url)


def on_the_wire(operation: str, parameters: Parameters) -> dict[str, str]:
    """The flat names and values with which botocore sends these parameters to EC2."""
    session = Session()
    session.set_credentials("access", "secret")
    request = sent(session.create_client("ec2", REGION), operation, parameters)
    flat = dict(parse_qsl(request.body, keep_blank_values=True))
    assert violations(flat) == []
    return {name: value for name, value in flat.items() if name not in ("Action", "Version")}


def offer(zone: str = ZONE, size: str = SIZE, market: Market = Market.SPOT) -> Offer:
    """An offer in the region of the tests."""
    return Offer("aws", REGION, zone, size, market, 0.01)


def batch(count: int = 1, token: str = "token-0", **changes: Any) -> Batch:
    """A request of the deployment of the tests."""
    request: dict[str, Any] = {
        "token": token,
        "count": count,
        "labels": {**LABELS, labels.BATCH: token},
        "user_data": b"#cloud-boothook\n#!/bin/sh\ntrue\n",
        "user": "spotdeploy",
        **changes,
    }
    return Batch(**request)
