"""How many calls it takes, and that all of them are ones that EC2 knows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from botocore.session import Session

from spotdeploy.model import Pool
from spotdeploy_aws.actions import Action
from tests.labs.aws import AwsLab
from tests.labs.aws.wire_model import violations
from tests.providers.aws.conftest import REGION, SCOPE, MakeProvider, batch, offer

PACKAGE = Path(__file__).parents[3] / "providers" / "spotdeploy_aws"


def calls_for(count: int, make: MakeProvider, lab: AwsLab) -> Counter[str]:
    """The calls to make, watch and destroy `count` nodes in one region."""
    lab.forget_calls()
    provider = make()
    provider.offers(Pool(count))
    created = provider.create(offer(), batch(count, token=f"token-{count}"))
    assert len(created.nodes) == count
    for _ in range(3):
        assert len(provider.nodes(SCOPE)) == count
    provider.destroy(created.nodes)
    provider.release(provider.leftovers(SCOPE))
    assert provider.nodes(SCOPE) == []
    assert lab.instances(REGION) == {}
    return Counter(lab.called())


@pytest.mark.timeout(120)
def test_three_hundred_nodes_take_as_many_calls_as_three(make: MakeProvider, lab: AwsLab) -> None:
    few = calls_for(3, make, lab)
    assert calls_for(300, make, lab) == few
    assert few["RunInstances"] == few["TerminateInstances"] == 1
    assert few["DescribeInstances"] == 4


def test_every_action_exists_in_its_services_model() -> None:
    session = Session()
    for action in Action:
        known = session.get_service_model(action.service).operation_names
        assert action.operation in known


def test_every_action_listed_is_one_the_code_calls() -> None:
    source = "".join(p.read_text() for p in PACKAGE.glob("*.py") if p.name != "actions.py")
    assert [action.name for action in Action if f"Action.{action.name}" not in source] == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Action": "RunInstance"}, "no such action"),
        ({"Action": "DescribeVolumes", "Version": "2012-01-01"}, "Version"),
        ({"Action": "RunInstances", "MinCount": "1"}, "RunInstances.MaxCount: missing"),
        ({"Action": "RunInstances", "MinCount": "1", "MaxCount": "x"}, "no integer"),
        ({"Action": "DescribeVolumes", "VolumeIds.1": "vol-1"}, "VolumeIds: unknown"),
        ({"Action": "DescribeVolumes", "DryRun": "True"}, "no boolean"),
        ({"Action": "DescribeVolumes", "VolumeId.0": "vol-1"}, "numbered from 1"),
        ({"Action": "DescribeVolumes", "VolumeId": "vol-1"}, "a list needs"),
        ({"Action": "DescribeVolumes", "DryRun.1": "true"}, "has no members"),
        (
            {
                "Action": "RunInstances",
                "MinCount": "1",
                "MaxCount": "1",
                "MetadataOptions.HttpTokens": "please",
            },
            "'please' is no string",
        ),
        (
            {"Action": "DescribeInstances", "Filter.1.Values.1": "x"},
            "Filter.1.Values: unknown",
        ),
    ],
)
def test_the_checker_sees_what_ec2_would_refuse(parameters: dict[str, str], message: str) -> None:
    (found,) = violations({"Version": "2016-11-15", **parameters})
    assert message in found
