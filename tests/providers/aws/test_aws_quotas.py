"""Quotas of virtual CPUs beside what a run needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from spotdeploy import labels
from spotdeploy.model import Market, MarketPolicy, Pool, Problem
from tests.labs.aws import AwsLab
from tests.providers.aws.conftest import LABELS, MakeProvider, batch, offer

SPOT, ON_DEMAND = "L-34B43A08", "L-1216C47A"
BOTH = MarketPolicy.SPOT_THEN_ON_DEMAND
Ask = Callable[..., Sequence[Problem]]


@pytest.fixture
def ask(make: MakeProvider) -> Ask:
    """What stands against so many nodes of 2 vCPUs."""

    def ask(
        count: int, policy: MarketPolicy = MarketPolicy.SPOT, **table: object
    ) -> Sequence[Problem]:
        return make(**table).objections(Pool(count, policy), batch(count))

    return ask


def test_a_quota_that_is_too_small_is_known_before_anything_is_destroyed(
    ask: Ask, lab: AwsLab
) -> None:
    lab.cloud.quotas.applied[SPOT] = 5.0
    assert ask(2) == []
    (problem,) = ask(3)
    assert problem.fatal
    assert "room for 5 of 5 vCPUs, and this run needs 6" in problem.what
    assert SPOT in problem.remedy


def test_what_the_deployments_own_nodes_use_counts_as_free(
    ask: Ask, make: MakeProvider, lab: AwsLab
) -> None:
    lab.cloud.quotas.applied[SPOT] = 8.0
    make().create(offer(), batch(3))
    assert ask(4) == []
    assert ask(5)


def test_what_others_use_does_not(ask: Ask, make: MakeProvider, lab: AwsLab) -> None:
    lab.cloud.quotas.applied |= {SPOT: 8.0, ON_DEMAND: 8.0}
    theirs = {**LABELS, labels.DEPLOYMENT: "other", labels.BATCH: "token-9"}
    make().create(offer(), batch(3, token="token-9", labels=theirs))
    assert ask(1) == []
    (problem,) = ask(2)
    assert "room for 2 of 8" in problem.what
    assert ask(2, MarketPolicy.ON_DEMAND) == []


def test_another_size_or_market_with_room_is_gone_on_to(ask: Ask, lab: AwsLab) -> None:
    lab.cloud.quotas.applied[SPOT] = 0.0
    assert ask(2, BOTH) == []
    lab.cloud.quotas.applied[ON_DEMAND] = 0.0
    assert [one.fatal for one in ask(2, BOTH)] == [False, False]
    assert ask(2, sizes=["t3.small", "g4dn.xlarge"]) == []


def test_a_location_has_to_give_its_share(ask: Ask, lab: AwsLab) -> None:
    lab.cloud.quotas.applied[SPOT] = 4.0
    regions = ["us-west-2", "eu-west-1"]
    assert ask(4, regions=regions) == []
    (problem,) = ask(6, regions=regions)
    assert not problem.fatal


@pytest.mark.parametrize(
    ("size", "market", "code"),
    [
        ("dl2q.24xlarge", MarketPolicy.SPOT, "L-85EED4F7"),
        ("trn1.2xlarge", MarketPolicy.SPOT, "L-6B0D517C"),
        ("trn1.32xlarge", MarketPolicy.ON_DEMAND, "L-2C3B7624"),
        ("inf2.xlarge", MarketPolicy.ON_DEMAND, "L-1945791B"),
        ("hpc7a.12xlarge", MarketPolicy.ON_DEMAND, "L-F7808C92"),
        ("u-6tb1.56xlarge", MarketPolicy.ON_DEMAND, "L-43DA4232"),
    ],
)
def test_families_of_their_own_have_quotas_of_their_own(
    ask: Ask, lab: AwsLab, size: str, market: MarketPolicy, code: str
) -> None:
    assert ask(1, market, sizes=[size]) == []
    lab.cloud.quotas.applied[code] = 2.0
    (problem,) = ask(1, market, sizes=[size])
    assert "room for 2 of 2 vCPUs" in problem.what
    assert code in problem.remedy


@pytest.mark.parametrize("size", ["hpc7a.12xlarge", "u-6tb1.56xlarge"])
def test_of_a_quota_that_nobody_knows_nothing_is_said(ask: Ask, lab: AwsLab, size: str) -> None:
    lab.cloud.quotas.applied[SPOT] = 0.0
    assert ask(2, sizes=["t3.small", size]) == []


def test_without_the_right_to_ask_nothing_is_said(ask: Ask, lab: AwsLab) -> None:
    lab.cloud.quotas.applied[SPOT] = 0.0
    lab.faults.deny("servicequotas", "GetServiceQuota")
    assert ask(2) == []


def test_a_quota_that_is_not_told_is_no_quota_of_zero(ask: Ask, lab: AwsLab) -> None:
    lab.cloud.quotas.untold.add(SPOT)
    assert ask(200) == []


def test_doctor_warns_where_not_even_one_node_has_room(make: MakeProvider, lab: AwsLab) -> None:
    lab.cloud.quotas.applied[SPOT] = 1.0
    (problem,) = make().doctor()
    assert not problem.fatal
    assert "room for 1 of 1" in problem.what
    assert Market.SPOT in problem.what.lower()
