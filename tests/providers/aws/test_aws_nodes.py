"""Which nodes are listed, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable

from spotdeploy import labels
from spotdeploy.model import Market, NodeState
from spotdeploy_aws.nodes import NOT_GONE, STATES
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import LABELS, REGION, SCOPE, SIZE, ZONE, Clock, batch, offer


def test_reservations_beyond_the_clouds_own_page_are_listed(
    provider: AwsProvider, lab: AwsLab
) -> None:
    for number in range(103):
        provider.create(offer(), batch(1, token=f"token-{number}"))
    assert len(provider.nodes(SCOPE)) == 103


def test_every_state_of_an_instance_has_a_meaning() -> None:
    states = {"pending", "running", "stopping", "stopped", "shutting-down", "terminated"}
    assert set(STATES) == states
    assert states - set(NOT_GONE) == {"terminated"}


def test_a_stopped_instance_is_listed_since_its_disk_is_billed(
    provider: AwsProvider, lab: AwsLab
) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    lab.ask(REGION, {"Action": "StopInstances", "InstanceId.1": node.id})
    (seen,) = provider.nodes(SCOPE)
    assert seen.state is NodeState.STOPPED


def test_a_just_made_instance_appears_when_the_cloud_has_caught_up(
    provider: AwsProvider, lab: AwsLab
) -> None:
    clock = Clock()
    lab.timing.clock, lab.timing.listing_delay = clock, 5
    provider.create(offer(), batch(1))
    assert provider.nodes(SCOPE) == []
    clock.now += 5
    assert len(provider.nodes(SCOPE)) == 1
    assert provider.settle_seconds >= 5


def test_nodes_of_another_deployment_or_region_are_not_listed(
    provider: AwsProvider, make: Callable[..., AwsProvider]
) -> None:
    provider.create(offer(), batch(1))
    assert provider.nodes({"spotdeploy-deployment": "other"}) == []
    assert make("eu-west-1").nodes(SCOPE) == []


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
