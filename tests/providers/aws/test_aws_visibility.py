"""Instances that EC2 does not know yet: "not found" is no proof that they are gone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from spotdeploy import labels
from spotdeploy.errors import CredentialsError, ThrottledError
from spotdeploy.events import Bus
from spotdeploy.model import Node, NodeState
from spotdeploy.phases.destroy import destroy
from spotdeploy.project import Project
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.state.journal import Journal
from spotdeploy_aws.nodes import VISIBLE_SECONDS
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import REGION, SCOPE, Clock, batch, offer

BATCH = {**SCOPE, labels.BATCH: "token-0"}


@pytest.fixture
def clock(provider: AwsProvider, lab: AwsLab) -> Clock:
    """The clock of the lab and of the provider."""
    clock = Clock()
    lab.timing.clock = provider._cloud.nodes._clock = clock
    return clock


def from_the_journal(node: Node, created_at: float) -> Node:
    """What is known of a node whose making another process noted."""
    return Node(
        id=node.id,
        name=node.name,
        provider="aws",
        location=REGION,
        state=NodeState.PENDING,
        created_at=created_at,
        cloud_state="known from the journal",
    )


@pytest.mark.parametrize("late", [75.0, 210.0])
@pytest.mark.parametrize("only_tagged", [False, True])
def test_a_young_machine_that_is_not_visible_is_asked_to_end_until_it_is(
    provider: AwsProvider, lab: AwsLab, clock: Clock, late: float, *, only_tagged: bool
) -> None:
    lab.cloud.only_tagged = only_tagged
    lab.timing.listing_delay = late
    nodes = provider.create(offer(), batch(2)).nodes
    asked: list[Node] = [from_the_journal(node, clock.now) for node in nodes]
    end = clock.now + late + 5
    while clock.now < end:
        provider.destroy(asked)
        asked = list(provider.nodes(SCOPE))
        assert clock.now >= end - 5 or len(asked) == 2
        clock.now += 5
    assert asked == []
    assert lab.instances(REGION) == {}


def test_one_that_is_not_visible_is_shown_as_such(
    provider: AwsProvider, lab: AwsLab, clock: Clock
) -> None:
    lab.timing.listing_delay = 60
    (node,) = provider.create(offer(), batch(1)).nodes
    assert provider.nodes(SCOPE) == []
    provider.destroy([from_the_journal(node, clock.now)])
    (shown,) = provider.nodes(SCOPE)
    assert (shown.id, shown.state) == (node.id, NodeState.PENDING)
    assert shown.cloud_state == "not visible yet"
    clock.now += 60
    (shown,) = provider.nodes(SCOPE)
    assert shown.cloud_state == "running"


def test_an_id_that_stays_unknown_is_gone_when_the_documented_time_is_over(
    provider: AwsProvider, clock: Clock
) -> None:
    stale = from_the_journal(Node("i-0cccccccccccccccc", "x", "aws", REGION, NodeState.PENDING), 0)
    made_ago = 120.0
    node = msgspec.structs.replace(stale, created_at=clock.now - made_ago)
    provider.destroy([node])
    clock.now += VISIBLE_SECONDS - made_ago - 1
    provider.destroy([node])
    assert [found.id for found in provider.nodes(SCOPE)] == [node.id]
    clock.now += 1
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize("age", [VISIBLE_SECONDS, 86400.0])
def test_an_old_id_that_is_unknown_is_gone(provider: AwsProvider, clock: Clock, age: float) -> None:
    clock.now = 1e9
    node = from_the_journal(Node("i-0ddd", "x", "aws", REGION, NodeState.PENDING), clock.now - age)
    provider.destroy([node])
    assert provider.nodes(SCOPE) == []


def test_a_clock_that_was_set_back_delays_no_proof_beyond_the_documented_time(
    provider: AwsProvider, clock: Clock
) -> None:
    node = from_the_journal(Node("i-0eee", "x", "aws", REGION, NodeState.PENDING), clock.now + 7200)
    provider.destroy([node])
    clock.now += VISIBLE_SECONDS
    assert provider.nodes(SCOPE) == []


def test_an_instance_that_ec2_ends_is_no_longer_expected(
    provider: AwsProvider, clock: Clock
) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    provider.destroy([from_the_journal(node, clock.now)])
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [("RequestLimitExceeded", ThrottledError), ("ExpiredToken", CredentialsError)],
)
def test_a_call_that_failed_leaves_the_young_ones_expected(
    provider: AwsProvider, lab: AwsLab, clock: Clock, code: str, kind: type[Exception]
) -> None:
    lab.timing.listing_delay = 60
    (node,) = provider.create(offer(), batch(1)).nodes
    lab.faults.refuse("TerminateInstances", code, "no")
    with pytest.raises(kind):
        provider.destroy([from_the_journal(node, clock.now)])
    assert [found.id for found in provider.nodes(SCOPE)] == [node.id]


def test_another_batch_or_deployment_does_not_show_what_is_not_visible(
    provider: AwsProvider, lab: AwsLab, clock: Clock
) -> None:
    lab.timing.listing_delay = 60
    (node,) = provider.create(offer(), batch(1)).nodes
    provider.destroy([from_the_journal(node, clock.now)])
    assert provider.nodes(BATCH) == []
    provider.destroy([msgspec.structs.replace(node, id="i-0fff", created_at=clock.now)])
    assert [found.id for found in provider.nodes(BATCH)] == ["i-0fff"]
    assert node.id in [found.id for found in provider.nodes(SCOPE)]


async def test_a_destroy_after_a_run_that_was_cut_off_passes_only_when_nothing_is_left(
    provider: AwsProvider, lab: AwsLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsProvider, "poll_seconds", 0.05)
    monkeypatch.setattr(AwsProvider, "settle_seconds", 0.2)
    lab.timing.listing_delay = 1.0
    project = Project.without_config(tmp_path / "spotdeploy.toml", "shop", ["aws"])
    with closing(Journal(tmp_path / "journal.db")) as journal:
        location = Location(provider, REGION)
        run = Run(project, "run-2", Plan(), (location,), journal, Bus())
        nodes = provider.create(offer(), batch(2)).nodes
        lab.timing.group_delay = 1.0
        journal.record_intent("token-0", "shop", "run-1", offer(), 2)
        journal.resolve_intent("token-0", "shop", "run-1", nodes)
        receipt = await destroy(run)
        location.close()
    assert receipt.clean
    assert {node.id for node in receipt.destroyed} == {node.id for node in nodes}
    assert lab.remains() == []
