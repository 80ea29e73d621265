"""The provider's promises, against moto behind the lab's proxy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spotdeploy import labels
from spotdeploy.model import Market, NodeState
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import LABELS, REGION, SCOPE, SIZE, ZONE, batch, offer


def test_a_batch_is_made_by_one_call_and_listed_by_label(
    provider: AwsProvider, lab: AwsLab
) -> None:
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 3
    assert created.shortfall is None
    assert lab.actions().count("RunInstances") == 1
    listed = provider.nodes(SCOPE)
    assert {node.id for node in listed} == {node.id for node in created.nodes}


def test_a_listed_node_has_all_that_the_core_reads(provider: AwsProvider) -> None:
    provider.create(offer(), batch(1))
    (node,) = provider.nodes(SCOPE)
    assert node.provider == "aws"
    assert (node.location, node.zone, node.size) == (REGION, ZONE, SIZE)
    assert node.market is Market.SPOT
    assert node.state is NodeState.RUNNING
    assert node.cloud_state == "running"
    assert node.address
    assert node.private_address
    assert node.created_at
    assert labels.matches(node.labels, LABELS)


def test_destroyed_nodes_are_no_longer_listed(provider: AwsProvider) -> None:
    created = provider.create(offer(), batch(2))
    provider.destroy(created.nodes)
    assert provider.nodes(SCOPE) == []


def test_loading_the_plugin_and_its_class_imports_no_cloud_library() -> None:
    script = (
        "import sys, spotdeploy_aws; cls = spotdeploy_aws.spotdeploy_register_provider();"
        "cls(cls.Config(), 'us-east-1');"
        "print([m for m in ('libcloud', 'botocore', 'requests') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_a_listing_without_labels_is_refused(provider: AwsProvider) -> None:
    with pytest.raises(ValueError, match="label"):
        provider.nodes({})
