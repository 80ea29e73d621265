"""What a node costs, with all that it has."""

from __future__ import annotations

import time

import pytest

from spotdeploy.model import Market, MarketPolicy, Pool
from spotdeploy_aws.prices import ADDRESS, GP3_MONTH, price_list_region
from tests.labs.aws import AwsLab
from tests.labs.silence import nowhere
from tests.providers.aws.conftest import SCOPE, SIZE, ZONE, MakeProvider, batch, offer

BOTH = MarketPolicy.SPOT_THEN_ON_DEMAND
VOLUME = 16 * 0.08 / 730
"""USD per hour of the lab's gp3 in us-west-2."""


@pytest.fixture(autouse=True)
def _prices(lab: AwsLab) -> None:
    lab.cloud.prices[ZONE, SIZE] = 0.008


def price_of(make: MakeProvider, market: Market, **table: object) -> float | None:
    """The price of the offer in the tests' zone."""
    offers = make(**table).offers(Pool(1, BOTH))
    (found,) = [one for one in offers if (one.zone, one.market) == (ZONE, market)]
    return found.usd_per_hour


def test_a_price_has_the_instance_its_volume_and_its_address(make: MakeProvider) -> None:
    assert price_of(make, Market.SPOT) == pytest.approx(0.008 + 0.005 + VOLUME)
    assert price_of(make, Market.ON_DEMAND) == pytest.approx(0.0208 + 0.005 + VOLUME)


def test_a_node_without_a_public_address_pays_none(make: MakeProvider) -> None:
    assert price_of(make, Market.SPOT, address="private") == pytest.approx(0.008 + VOLUME)


def test_a_larger_volume_costs_more(make: MakeProvider) -> None:
    bare = price_of(make, Market.SPOT)
    large = price_of(make, Market.SPOT, root_volume_gb=116)
    assert bare is not None
    assert large == pytest.approx(bare + 100 * 0.08 / 730)


def test_a_price_list_without_a_route_is_given_up_after_seconds(
    make: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nowhere() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        began = time.monotonic()
        assert price_of(make, Market.ON_DEMAND) is None
        assert time.monotonic() - began < 10


def test_where_prices_may_not_be_asked_on_demand_is_unknown_and_a_volume_estimated(
    make: MakeProvider, lab: AwsLab
) -> None:
    lab.faults.deny("pricing", "GetProducts")
    assert price_of(make, Market.ON_DEMAND) is None
    assert price_of(make, Market.SPOT) == pytest.approx(0.008 + ADDRESS + 16 * GP3_MONTH / 730)
    within = make().offers(Pool(1, BOTH, max_usd_per_hour=1.0))
    assert {one.market for one in within} == {Market.SPOT}


@pytest.mark.parametrize("status", [500, 503])
def test_a_price_list_that_is_down_costs_no_offer(
    make: MakeProvider, lab: AwsLab, status: int
) -> None:
    lab.faults.refuse("GetProducts", "InternalErrorException", "no", times=9, status=status)
    assert price_of(make, Market.ON_DEMAND) is None


def test_a_size_that_the_price_list_lacks_has_no_price(make: MakeProvider, lab: AwsLab) -> None:
    del lab.cloud.price_list.hourly["us-west-2", SIZE]
    assert price_of(make, Market.ON_DEMAND) is None


def test_all_sizes_are_asked_for_in_one_call(make: MakeProvider, lab: AwsLab) -> None:
    make(sizes=["t3.small", "t3a.small", "c5.large"]).offers(Pool(1, MarketPolicy.ON_DEMAND))
    assert lab.called().count("GetProducts") == 2  # instances, and volumes


def test_prices_in_another_currency_are_unknown(make: MakeProvider, lab: AwsLab) -> None:
    lab.cloud.price_list.hourly["cn-north-1", SIZE] = 0.1
    prices = make("cn-north-1")._cloud.prices
    prices.refresh([SIZE], [Market.ON_DEMAND])
    assert "GetProducts" in lab.called()
    assert prices.of(Market.ON_DEMAND, "cn-north-1a", SIZE) is None


@pytest.mark.parametrize(
    ("region", "near"),
    [
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("eu-north-1", "eu-central-1"),
        ("ap-east-1", "ap-south-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("us-gov-west-1", None),
        ("eusc-de-east-1", None),
        ("eu-isoe-west-1", None),
    ],
)
def test_the_price_list_is_asked_where_it_answers(region: str, near: str | None) -> None:
    assert price_list_region(region) == near


def test_the_newest_of_several_prices_counts(make: MakeProvider) -> None:
    prices = make()._cloud.prices
    prices.refresh([SIZE], [Market.SPOT])
    assert prices.of(Market.SPOT, ZONE, SIZE) == pytest.approx(0.008 + 0.005 + VOLUME)
    assert prices.of(Market.SPOT, "us-west-2z", SIZE) is None
    assert prices.of(Market.SPOT, None, SIZE) is None


def test_a_node_shows_the_price_that_was_seen(make: MakeProvider) -> None:
    provider = make()
    provider.offers(Pool(1, BOTH))
    provider.create(offer(), batch(1))
    provider.create(offer(market=Market.ON_DEMAND), batch(1, token="token-1"))
    seen = {node.market: node.usd_per_hour for node in provider.nodes(SCOPE)}
    besides = 0.005 + VOLUME
    assert seen == pytest.approx({Market.SPOT: 0.008 + besides, Market.ON_DEMAND: 0.0208 + besides})


def test_the_bid_leaves_room_for_address_and_volume(make: MakeProvider, lab: AwsLab) -> None:
    provider = make()
    provider.offers(Pool(1))
    provider.create(offer(), batch(1, max_usd_per_hour=0.02))
    (launch,) = [call for call in lab.calls if call.action == "RunInstances"]
    bid = launch.parameters["InstanceMarketOptions.SpotOptions.MaxPrice"]
    assert float(bid) == pytest.approx(0.02 - 0.005 - VOLUME, abs=1e-6)
