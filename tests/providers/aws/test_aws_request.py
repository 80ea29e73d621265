"""The RunInstances request, as data."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from typing import Any

import pytest

from spotdeploy import labels
from spotdeploy.errors import ConfigError
from spotdeploy.model import Market
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.request import Site, run_instances
from spotdeploy_aws.schemas import Image, Place
from tests.providers.aws.conftest import LABELS, batch, offer, on_the_wire

SITE = Site(Place("us-west-2a", "subnet-1", "vpc-1"), Image("ami-1", "/dev/sda1"), ("sg-1",))


def flat(
    market: Market = Market.SPOT, config: AwsConfig | None = None, **changes: Any
) -> dict[str, str]:
    request = batch(**{"count": 3, **changes})
    return on_the_wire(
        "RunInstances", run_instances(offer(market=market), request, SITE, config or AwsConfig())
    )


def tagged(parameters: dict[str, str]) -> dict[str, dict[str, str]]:
    """Kind of resource to the tags it is given."""
    found: dict[str, dict[str, str]] = {}
    for key, kind in parameters.items():
        if key.endswith(".ResourceType"):
            prefix = key.removesuffix("ResourceType") + "Tag."
            found[kind] = {
                value: parameters[name.removesuffix("Key") + "Value"]
                for name, value in parameters.items()
                if name.startswith(prefix) and name.endswith(".Key")
            }
    return found


def test_a_batch_asks_for_at_least_one_and_at_most_all() -> None:
    parameters = flat()
    assert (parameters["MinCount"], parameters["MaxCount"]) == ("1", "3")
    assert parameters["ClientToken"] == "token-0"


def test_a_spot_node_is_bought_once_and_ends_when_interrupted() -> None:
    parameters = flat()
    assert parameters["InstanceMarketOptions.MarketType"] == "spot"
    options = "InstanceMarketOptions.SpotOptions."
    assert parameters[f"{options}SpotInstanceType"] == "one-time"
    assert parameters[f"{options}InstanceInterruptionBehavior"] == "terminate"
    assert f"{options}MaxPrice" not in parameters


def test_the_price_limit_becomes_the_bid() -> None:
    parameters = flat(max_usd_per_hour=0.02)
    assert parameters["InstanceMarketOptions.SpotOptions.MaxPrice"] == "0.020000"


def test_an_on_demand_node_has_no_market_options() -> None:
    parameters = flat(Market.ON_DEMAND, max_usd_per_hour=0.02)
    assert not [name for name in parameters if name.startswith("InstanceMarketOptions")]
    assert "spot-instances-request" not in tagged(parameters)


def test_the_bid_is_what_the_limit_leaves_for_the_instance() -> None:
    site = replace(SITE, usd_besides=0.0075)
    asked = run_instances(offer(), batch(max_usd_per_hour=0.02), site, AwsConfig())
    wire = on_the_wire("RunInstances", asked)
    assert wire["InstanceMarketOptions.SpotOptions.MaxPrice"] == "0.012500"


@pytest.mark.parametrize(
    ("size", "table", "mode"),
    [
        ("t3.small", {}, "standard"),
        ("t4g.nano", {"cpu_credits": "unlimited"}, "unlimited"),
        ("t2.micro", {}, "standard"),
        ("c5.large", {"cpu_credits": "unlimited"}, None),
        ("trn1.2xlarge", {}, None),
    ],
)
def test_a_burstable_size_is_slowed_down_and_not_charged_when_its_credits_are_used_up(
    size: str, table: dict[str, Any], mode: str | None
) -> None:
    asked = run_instances(offer(size=size), batch(), SITE, AwsConfig(**table))
    wire = on_the_wire("RunInstances", asked)
    assert wire.get("CreditSpecification.CpuCredits") == mode


def test_no_call_asks_for_more_than_the_bucket_of_instances_holds() -> None:
    assert flat(count=1001)["MaxCount"] == "1000"


def test_a_node_that_powers_off_is_terminated() -> None:
    assert flat()["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_instance_metadata_takes_only_version_2() -> None:
    assert flat()["MetadataOptions.HttpTokens"] == "required"


def test_the_root_volume_is_gp3_of_the_configured_size_and_goes_with_its_node() -> None:
    parameters = flat(config=AwsConfig(root_volume_gb=33))
    volume = "BlockDeviceMapping.1."
    assert parameters[f"{volume}DeviceName"] == "/dev/sda1"
    assert parameters[f"{volume}Ebs.VolumeType"] == "gp3"
    assert parameters[f"{volume}Ebs.VolumeSize"] == "33"
    assert parameters[f"{volume}Ebs.DeleteOnTermination"] == "true"


def test_everything_the_call_makes_is_labelled_by_the_call() -> None:
    found = tagged(flat())
    assert set(found) == {"instance", "volume", "network-interface", "spot-instances-request"}
    for tags in found.values():
        assert labels.matches(tags, LABELS)


def test_the_users_own_tags_are_added_and_cannot_replace_labels() -> None:
    config = AwsConfig(tags={"team": "shop", labels.DEPLOYMENT: "other"})
    tags = tagged(flat(config=config))["instance"]
    assert tags["team"] == "shop"
    assert tags[labels.DEPLOYMENT] == "shop"


def test_a_node_has_a_public_address_unless_private_ones_are_configured() -> None:
    name = "NetworkInterface.1.AssociatePublicIpAddress"
    assert flat()[name] == "true"
    assert flat(config=AwsConfig(address="private"))[name] == "false"


def test_user_data_over_ec2s_limit_is_refused_with_its_size() -> None:
    with pytest.raises(ConfigError, match="16385 bytes; EC2 takes 16384"):
        flat(user_data=b"x" * 16385)


def test_user_data_travels_unchanged_compressed_or_not() -> None:
    packed = gzip.compress(b"#!/bin/sh\n" * 5000)
    for data in (b"x" * 16384, packed):
        assert base64.b64decode(flat(user_data=data)["UserData"]) == data
