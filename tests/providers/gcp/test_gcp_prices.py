"""Prices: Google's own list where it may be asked, and unknown rather than wrong."""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotdeploy.model import Market, MarketPolicy, Pool
from tests.labs.gcp import GcpLab
from tests.labs.gcp.call import Json
from tests.labs.gcp.skus import sku
from tests.labs.silence import nowhere
from tests.providers.gcp.conftest import SCOPE, MakeProvider, batch, offer

BOTH = MarketPolicy.SPOT_THEN_ON_DEMAND
HERE = ["us-central1", "us-east1"]
SKUS = [
    sku("E2 Instance Core running in Americas", HERE, 0.02),
    sku("E2 Instance Ram running in Americas", HERE, 0.003),
    sku("Spot Preemptible E2 Instance Core running in Americas", HERE, 0.004),
    sku("Spot Preemptible E2 Instance Ram running in Americas", HERE, 0.0005),
    sku("E2 Custom Instance Core running in Americas", HERE, 9.0),
    sku("E2 Instance Core running in Netherlands", ["europe-west4"], 0.05),
    sku("Spot Preemptible E2 Custom Instance Core running in Americas", HERE, 9.0),
    sku("E2 Sole Tenancy Instance Core running in Americas", HERE, 9.0),
    sku("Reserved E2 Instance Core in Americas", HERE, 9.0),
    sku("Commitment v1: E2 Cpu in Americas for 1 Year", HERE, 9.0, usage="Commit1Yr"),
    sku("N2 Instance Core running in Americas", HERE, 1.25),
    sku("N2 Instance Ram running in Americas", HERE, 0.25),
    sku("T2A Arm Instance Core running in Americas", HERE, 0.03),
    sku("T2A Arm Instance Ram running in Americas", HERE, 0.004),
    sku("G2 Instance Core running in Americas", HERE, 0.02),
    sku("G2 Instance Ram running in Americas", HERE, 0.002),
]


def prices(
    make: MakeProvider, size: str, region: str = "us-central1"
) -> dict[Market, float | None]:
    """The price of a size by market."""
    offers = make(region, sizes=[size]).offers(Pool(1, BOTH))
    return {one.market: one.usd_per_hour for one in offers}


def test_a_price_service_without_a_route_is_given_up_after_seconds_once_for_all_regions(
    make: MakeProvider,
) -> None:
    with nowhere() as url, ThreadPoolExecutor() as threads:
        began = time.monotonic()
        regions = ("us-central1", "europe-west4")
        asked = [
            threads.submit(make(one, price_service=url).offers, Pool(1, BOTH)) for one in regions
        ]
        offers = [offer for one in asked for offer in one.result()]
        assert time.monotonic() - began < 9
    assert offers
    assert {offer.usd_per_hour for offer in offers} == {None}


@pytest.fixture
def listed(lab: GcpLab) -> list[Json]:
    """The lab's price list, to be changed."""
    lab.cloud.skus = copy.deepcopy(SKUS)
    return lab.cloud.skus


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("size", "spot", "on_demand"),
    [
        ("e2-small", 0.5 * 0.004 + 2 * 0.0005, 0.5 * 0.02 + 2 * 0.003),
        ("e2-medium", 0.004 + 4 * 0.0005, 0.02 + 4 * 0.003),
        ("n2-standard-2", None, 2 * 1.25 + 8 * 0.25),
        ("t2a-standard-1", None, 0.03 + 4 * 0.004),
        ("g2-standard-4", None, None),
        ("c4-standard-2", None, None),
    ],
)
def test_a_price_is_that_of_cpus_and_memory(
    make: MakeProvider, size: str, spot: float | None, on_demand: float | None
) -> None:
    assert prices(make, size) == {
        Market.SPOT: pytest.approx(spot) if spot else None,
        Market.ON_DEMAND: pytest.approx(on_demand) if on_demand else None,
    }


@pytest.mark.usefixtures("listed")
def test_a_region_has_its_own_prices_and_half_a_price_is_none(make: MakeProvider) -> None:
    assert prices(make, "e2-small", "europe-west4") == {Market.SPOT: None, Market.ON_DEMAND: None}


@pytest.mark.parametrize(
    "other",
    [
        sku("E2 Instance Core running in Iowa", ["us-central1"], 0.021),
        sku("E2 Instance Core running in Iowa", ["us-central1"], 0.02, unit="mo"),
        sku("E2 AMD Instance Core running in Iowa", ["us-central1"], 0.03),
    ],
)
def test_what_has_two_prices_has_none(make: MakeProvider, listed: list[Json], other: Json) -> None:
    listed.append(other)
    assert prices(make, "e2-small")[Market.ON_DEMAND] is None
    assert prices(make, "e2-small")[Market.SPOT] is not None


@pytest.mark.parametrize("change", ["tiers", "currency", "free"])
def test_a_price_that_depends_on_more_or_is_none_is_unknown(
    make: MakeProvider, listed: list[Json], change: str
) -> None:
    rates = listed[0]["pricingInfo"][0]["pricingExpression"]["tieredRates"]
    if change == "tiers":
        rates.append({"startUsageAmount": 100, "unitPrice": rates[0]["unitPrice"]})
    else:
        rates[0]["unitPrice"].update(nanos=0) if change == "free" else rates[0]["unitPrice"].update(
            currencyCode="EUR"
        )
    assert prices(make, "e2-small")[Market.ON_DEMAND] is None


def test_the_list_is_read_to_its_last_page_and_kept_for_an_hour(
    make: MakeProvider, listed: list[Json], lab: GcpLab
) -> None:
    lab.cloud.skus = [sku(f"Nvidia {n} GPU running in Iowa", HERE, 1.0) for n in range(5000)]
    lab.cloud.skus += SKUS
    assert prices(make, "e2-small")[Market.SPOT] == pytest.approx(0.003)
    lab.cloud.skus = None
    assert prices(make, "e2-small")[Market.SPOT] == pytest.approx(0.003)


def test_without_the_api_spot_prices_are_unknown_and_a_limit_says_so(
    make: MakeProvider, lab: GcpLab
) -> None:
    provider = make()
    assert prices(make, "e2-small")[Market.SPOT] is None
    assert provider.objections(Pool(1), batch()) == []
    (problem,) = provider.objections(Pool(1, max_usd_per_hour=0.01), batch())
    assert not problem.fatal
    assert "Cloud Billing API has not been used" in problem.what
    assert "gcloud services enable cloudbilling.googleapis.com" in problem.remedy


@pytest.mark.usefixtures("listed")
def test_a_limit_keeps_spot_offers_that_are_within_it(make: MakeProvider) -> None:
    limited = Pool(1, BOTH, max_usd_per_hour=0.01)
    assert {one.market for one in make().offers(limited)} == {Market.SPOT}
    assert make().objections(limited, batch()) == []


@pytest.mark.usefixtures("listed")
def test_a_spot_node_shows_its_price(make: MakeProvider) -> None:
    provider = make()
    provider.offers(Pool(1))
    provider.create(offer(), batch())
    (node,) = provider.nodes(SCOPE)
    assert node.usd_per_hour == pytest.approx(0.003)
