"""A GCP lab without machines for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdeploy import labels
from spotdeploy.config.load import decode
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab

REGION = "us-central1"
ZONE = "us-central1-a"
SIZE = "e2-small"
LABELS = labels.for_batch("shop", "20260101-120000-abc123", "token-0", "d" * 40, 1_800_000_000)
SCOPE = labels.scope("shop")

MakeProvider = Callable[..., GcpProvider]


def running_lab(folder: Path) -> Iterator[GcpLab]:
    """A lab for one test."""
    with GcpLab(folder) as lab:
        os.environ.update(lab.environment)
        yield lab
        assert lab.wrong == []


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpLab]:
    """An empty project, found by the environment. At the end every request and every answer must
    have been as Google documents it."""
    yield from running_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab_of_gcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpLab]:
    """The same, for tests that have a `lab` of their own."""
    yield from running_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def make(lab: GcpLab) -> MakeProvider:
    """Make a provider from keys of `[provider.gcp]`."""

    def make(region: str = REGION, **table: Any) -> GcpProvider:
        table = {**lab.table, "sizes": [SIZE], **table}
        return GcpProvider(decode(table, GcpConfig, "spotdeploy.toml", "provider.gcp"), region)

    return make


@pytest.fixture
def provider(make: MakeProvider) -> GcpProvider:
    """A provider with the default config."""
    return make()


def offer(zone: str = ZONE, size: str = SIZE, market: Market = Market.SPOT) -> Offer:
    """An offer in the region of the tests."""
    return Offer("gcp", REGION, zone, size, market)


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
