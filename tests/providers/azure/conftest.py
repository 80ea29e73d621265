"""An Azure lab without machines for each test. Its clock only moves when someone waits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spotdeploy import labels
from spotdeploy.config.load import decode
from spotdeploy.model import Batch, Market, Offer
from spotdeploy.testing import ManualClock
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.call import Json

LOCATION = "eastus"
SIZE = "Standard_D2as_v5"
LABELS = labels.for_batch("shop", "20260101-120000-abc123", "token-0", "d" * 40, 1_800_000_000)
SCOPE = labels.scope("shop")
GROUP = "spotdeploy-shop-20260101-120000-abc123-eastus"

MakeProvider = Callable[..., AzureProvider]


@pytest.fixture
def clock() -> ManualClock:
    """The lab's time, which is also what the provider waits by."""
    return ManualClock()


@pytest.fixture
def lab(clock: ManualClock) -> Iterator[AzureLab]:
    """An empty subscription, found by the environment. At the end every request and every answer
    must have been as Microsoft publishes it."""
    with AzureLab(clock) as lab:
        os.environ.update(lab.environment)
        yield lab
        assert lab.wrong == []


@pytest.fixture
def make(lab: AzureLab, clock: ManualClock) -> MakeProvider:
    """Make a provider from keys of `[provider.azure]`."""

    def make(location: str = LOCATION, /, **table: Any) -> AzureProvider:
        table = {**lab.table, "sizes": [SIZE], **table}
        config = decode(table, AzureConfig, "spotdeploy.toml", "provider.azure")
        return AzureProvider(config, location, clock.sleep)

    return make


@pytest.fixture
def provider(make: MakeProvider) -> AzureProvider:
    """A provider with the default config."""
    return make()


def offer(size: str = SIZE, zone: str | None = None, market: Market = Market.SPOT) -> Offer:
    """An offer in the location of the tests."""
    return Offer("azure", LOCATION, zone, size, market)


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


def machine(lab: AzureLab) -> Json:
    """The properties of the only machine that exists."""
    (one,) = lab.cloud.machines.values()
    return dict(one.body["properties"])
