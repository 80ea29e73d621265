"""Candidates and images."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ConfigError, Reach
from spotdeploy.model import Market, MarketPolicy, Pool
from spotdeploy_aws.schemas import Image
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import LTS_ELSEWHERE, NEWEST_LTS, OWN_IMAGE, STRANGER
from tests.labs.aws.launching import MOTO_VOLUME
from tests.providers.aws.conftest import REGION, MakeProvider

BESIDES = 0.005 + 16 * 0.08 / 730
"""The address and the volume, in USD per hour."""
ZONES = ("us-west-2a", "us-west-2b", "us-west-2c")


@pytest.fixture(autouse=True)
def _prices(lab: AwsLab) -> None:
    for size, usd in (("t3.small", 0.008), ("t3a.small", 0.007)):
        lab.cloud.prices |= {
            (ZONES[0], size): usd,
            (ZONES[1], size): usd / 2,
            (ZONES[2], size): usd / 4,
            ("us-west-2d", size): usd * 2,
        }


def test_sizes_keep_their_order_and_the_cheapest_zone_comes_first(make: MakeProvider) -> None:
    offers = make(sizes=["t3.small", "t3a.small"]).offers(Pool(1))
    assert [o.size for o in offers] == ["t3.small"] * 4 + ["t3a.small"] * 4
    assert [o.zone for o in offers[:4]] == [ZONES[2], ZONES[1], ZONES[0], "us-west-2d"]
    assert [o.usd_per_hour for o in offers[:3]] == pytest.approx(
        [usd + BESIDES for usd in (0.002, 0.004, 0.008)]
    )


def test_a_refused_image_reaches_the_sizes_of_its_architecture_alone(make: MakeProvider) -> None:
    offers = make(sizes=["t3.small", "t4g.small"]).offers(Pool(1))
    small, arm = (next(o for o in offers if o.size == size) for size in ("t3.small", "t4g.small"))
    assert (small.architecture, arm.architecture) == ("x86_64", "arm64")
    assert not arm.covered_by(small, Reach.IMAGE)


def test_the_second_market_comes_after_all_of_the_first(make: MakeProvider) -> None:
    offers = make().offers(Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND))
    assert [o.market for o in offers] == [Market.SPOT] * 4 + [Market.ON_DEMAND] * 4
    assert offers[-1].usd_per_hour == pytest.approx(0.0208 + BESIDES)


def test_on_demand_alone_asks_for_no_spot_prices(make: MakeProvider, lab: AwsLab) -> None:
    make().offers(Pool(1, MarketPolicy.ON_DEMAND))
    assert "DescribeSpotPriceHistory" not in lab.called()


def test_offers_above_the_limit_are_left_out(make: MakeProvider) -> None:
    offers = make().offers(
        Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND, max_usd_per_hour=0.005 + BESIDES)
    )
    assert [(o.zone, o.market) for o in offers] == [(ZONES[2], "spot"), (ZONES[1], "spot")]


def test_zones_that_do_not_sell_a_size_are_left_out(make: MakeProvider) -> None:
    offers = make(sizes=["t3.small", "x2iedn.metal"]).offers(Pool(1, MarketPolicy.ON_DEMAND))
    assert "t3.small" in {o.size for o in offers}
    zones = {o.zone for o in offers if o.size == "x2iedn.metal"}
    assert zones < {o.zone for o in offers if o.size == "t3.small"}


def test_a_size_that_is_sold_nowhere_has_no_offers(make: MakeProvider) -> None:
    assert make(sizes=["z9.huge"]).offers(Pool(1)) == []


def test_offers_create_nothing_and_need_few_calls(make: MakeProvider, lab: AwsLab) -> None:
    make(sizes=["t3.small", "t3a.small"]).offers(Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND))
    assert sorted(lab.called()) == [
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeSpotPriceHistory",
        "DescribeSubnets",
        "GetProducts",
        "GetProducts",
    ]
    assert lab.instances(REGION) == {}


def test_an_interim_release_or_a_strangers_image_is_not_the_newest_lts(make: MakeProvider) -> None:
    assert make()._cloud.images.for_size("t3.small") == Image(
        NEWEST_LTS["x86_64"], "/dev/sda1", MOTO_VOLUME
    )


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_another_partition_has_canonicals_images_of_its_own(
    make: MakeProvider, region: str
) -> None:
    assert make(region)._cloud.images.for_size("t3.small").id == LTS_ELSEWHERE[region]


def test_an_arm_size_boots_an_arm_image(make: MakeProvider) -> None:
    assert make()._cloud.images.for_size("t4g.small").id == NEWEST_LTS["arm64"]


def test_a_pattern_picks_the_newest_of_its_owner(make: MakeProvider) -> None:
    images = make(image="golden-*")._cloud.images
    assert images.for_size("t3.small") == Image(OWN_IMAGE, "/dev/xvda", MOTO_VOLUME)
    found = make(image="ubuntu/images/*", image_owner=STRANGER)._cloud.images
    assert found.for_size("t3.small").id == "ami-000000000000badbad"


def test_an_id_is_taken_as_it_is(make: MakeProvider) -> None:
    images = make(image="ami-0000000000002204a")._cloud.images
    assert images.for_size("t3.small").id == "ami-0000000000002204a"


def test_an_image_for_another_architecture_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="no arm64 image 'ami-0000000000002204a'"):
        make(image="ami-0000000000002204a")._cloud.images.for_size("t4g.small")


def test_an_unknown_size_is_named(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match=r"no instance type 'z9\.huge' in us-west-2"):
        make()._cloud.images.for_size("z9.huge")


def test_an_image_is_looked_up_once_a_run_and_architecture(make: MakeProvider, lab: AwsLab) -> None:
    images = make()._cloud.images
    lab.forget_calls()
    for size in ("t3.small", "t3a.small", "t3.small", "t4g.small", "t3a.small"):
        images.for_size(size)
    assert lab.called().count("DescribeImages") == 2
    assert lab.called().count("DescribeInstanceTypes") == 3


def test_the_next_run_boots_the_image_that_is_the_newest_then(
    make: MakeProvider, lab: AwsLab
) -> None:
    assert make(image="golden-*")._cloud.images.for_size("t3.small").id == OWN_IMAGE
    lab.ask(REGION, {"Action": "DeregisterImage", "ImageId": OWN_IMAGE})
    found = make(image="golden-*")._cloud.images.for_size("t3.small")
    assert found.id == "ami-00000000000000e0d"
