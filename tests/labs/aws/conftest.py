"""An AWS lab for each test, and botocore's own clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.session import Session

from tests.labs.aws import AwsLab
from tests.labs.aws.lab import ACCESS_KEY
from tests.labs.aws.moto_server import MotoServer, running_moto
from tests.labs.aws.proxy import SECRETS

ONCE = Config(retries={"total_max_attempts": 1})
"""What is refused is not asked again."""


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto's server."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def lab(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsLab]:
    """An empty AWS. At the end every call must have been one that AWS takes."""
    with AwsLab(tmp_path_factory.mktemp("lab"), moto) as lab:
        yield lab
        assert lab.wrong == []


@pytest.fixture
def client(lab: AwsLab) -> Callable[..., Any]:
    """Makes botocore's client of a service."""

    def make(service: str, region: str = "us-west-2", config: Config = ONCE) -> Any:
        return Session().create_client(
            service,
            region,
            endpoint_url=lab.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRETS[ACCESS_KEY],
            config=ONCE.merge(config),
        )

    return make
