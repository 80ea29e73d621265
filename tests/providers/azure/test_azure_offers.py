"""Candidates, prices, sizes and images."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from spotdeploy.errors import CapacityError, ConfigError, ProviderError, Reach
from spotdeploy.model import Market, MarketPolicy, Pool
from spotdeploy_azure.offers import valid_prices
from spotdeploy_azure.provider import AzureProvider
from spotdeploy_azure.schemas import Price
from tests.labs.azure import AzureLab
from tests.labs.azure.catalogue import OLD, PRICES
from tests.labs.silence import nowhere
from tests.providers.azure.conftest import SIZE, MakeProvider, batch, machine, offer

IN_GROUP = "/subscriptions/s/resourceGroups/mine/providers/Microsoft.Compute"
IN_GALLERY = f"{IN_GROUP}/galleries/g"
COMMUNITY = "/CommunityGalleries/public-1/Images/i/Versions/latest"
TWO = ["Standard_D2as_v5", "Standard_D2s_v5"]


def test_a_price_service_without_a_route_is_told_after_seconds(make: MakeProvider) -> None:
    with nowhere() as url:
        began = time.monotonic()
        with pytest.raises(ProviderError, match="cannot ask for prices"):
            make(price_service=url).offers(Pool(1))
        assert time.monotonic() - began < 10


def test_a_location_has_zones_of_its_own(make: MakeProvider) -> None:
    table: dict[str, Any] = {"zones": ["1", "2"], "location": {"westeurope": {"zones": ["3"]}}}
    assert {one.zone for one in make("westeurope", **table).offers(Pool(1))} == {"3"}
    assert {one.zone for one in make("eastus", **table).offers(Pool(1))} == {"1", "2"}


def test_offers_are_market_by_market_size_by_size_zone_by_zone(make: MakeProvider) -> None:
    provider = make(sizes=TWO, zones=["2", "1"])
    pool = Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND)
    offers = provider.offers(pool)
    assert [(one.market, one.size, one.zone) for one in offers] == [
        (market, size, zone)
        for market in (Market.SPOT, Market.ON_DEMAND)
        for size in TWO
        for zone in ("2", "1")
    ]
    assert {one.usd_per_hour for one in offers} == {None}


def test_a_size_without_spot_is_offered_on_demand_only(make: MakeProvider) -> None:
    provider = make(sizes=["Standard_B2s"])
    assert provider.offers(Pool(1)) == []
    (only,) = provider.offers(Pool(1, MarketPolicy.ON_DEMAND))
    assert only.size == "Standard_B2s"


def test_prices_are_known_when_the_config_names_the_service(
    make: MakeProvider, lab: AzureLab
) -> None:
    provider = make(sizes=TWO, price_service=lab.url)
    pool = Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND)
    prices = {(one.market, one.size): one.usd_per_hour for one in provider.offers(pool)}
    for size in TWO:
        regular, spot = PRICES[size]
        assert prices[Market.ON_DEMAND, size] == regular
        assert prices[Market.SPOT, size] == spot
    cheap = provider.offers(Pool(1, max_usd_per_hour=0.012))
    assert [one.size for one in cheap] == ["Standard_D2s_v5"]


NOW = 1_780_000_000.0  # in 2026


def price(usd: float, sku: str = "D2as v5", **keys: Any) -> Price:
    given: dict[str, Any] = {
        "armSkuName": "Standard_D2as_v5",
        "skuName": sku,
        "productName": "Virtual Machines Dasv5 Series",
        "retailPrice": usd,
        "unitOfMeasure": "1 Hour",
        "effectiveStartDate": "2024-08-01T00:00:00Z",
    }
    return msgspec.convert({**given, **keys}, Price)


@pytest.mark.parametrize(
    "other",
    [
        {"productName": "Dasv5 Series Cloud Services"},
        {"productName": "Virtual Machines Dasv5 Series Windows"},
        {"sku": "D2as v5 Low Priority"},
        {"sku": "Standard_D2as_v5 Spot"},
        {"type": "DevTestConsumption"},
        {"type": "Reservation"},
        {"currencyCode": "EUR"},
        {"unitOfMeasure": "1/Month"},
        {"effectiveStartDate": "2020-01-01T00:00:00Z"},
        {"effectiveStartDate": "2027-01-01T00:00:00Z"},
        {"effectiveStartDate": "2026-01-01T00:00:00Z", "effectiveEndDate": "2026-02-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_price_is_that_of_a_linux_machine_that_holds_now(other: dict[str, Any]) -> None:
    key = (Market.ON_DEMAND, "Standard_D2as_v5")
    for prices in ([price(0.08), price(9.0, **other)], [price(9.0, **other), price(0.08)]):
        assert valid_prices(prices, NOW)[key] == 0.08


def test_a_price_that_the_list_has_twice_is_unknown() -> None:
    assert valid_prices([price(0.08), price(0.09)], NOW) == {}
    assert len(valid_prices([price(0.08), price(0.08)], NOW)) == 1


def test_a_price_of_zero_is_unknown(make: MakeProvider, lab: AzureLab) -> None:
    provider = make(sizes=["Standard_D2ps_v5"], price_service=lab.url)
    (offer,) = provider.offers(Pool(1, MarketPolicy.ON_DEMAND))
    assert offer.usd_per_hour is None


def test_a_limit_without_prices_says_how_to_know_them(provider: AzureProvider) -> None:
    with pytest.raises(ConfigError, match="prices on Azure are unknown") as caught:
        provider.offers(Pool(1, max_usd_per_hour=0.1))
    assert "price_service" in str(caught.value.hint)


def test_an_arm64_size_boots_an_arm64_image(make: MakeProvider, lab: AzureLab) -> None:
    provider = make(sizes=["Standard_D2ps_v5"])
    provider.create(offer("Standard_D2ps_v5"), batch())
    image = machine(lab)["storageProfile"]["imageReference"]
    assert image["sku"] == "server-arm64"


def test_a_size_of_the_first_generation_boots_an_image_of_it(
    make: MakeProvider, lab: AzureLab
) -> None:
    make(sizes=[OLD]).create(offer(OLD), batch())
    image = machine(lab)["storageProfile"]["imageReference"]
    assert image["sku"] == "server-gen1"


def test_an_image_of_another_generation_is_a_matter_of_the_size(make: MakeProvider) -> None:
    provider = make(sizes=[OLD, SIZE], image="debian:debian-13:13-gen2:latest")
    with pytest.raises(CapacityError, match="cannot boot Hypervisor") as caught:
        provider.create(offer(OLD), batch())
    assert caught.value.reach is Reach.SIZE
    assert len(provider.create(offer(SIZE), batch(token="token-1")).nodes) == 1


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (
            "debian:debian-13:13-gen2:latest",
            {"publisher": "debian", "offer": "debian-13", "sku": "13-gen2", "version": "latest"},
        ),
        (f"{IN_GROUP}/images/mine", {"id": f"{IN_GROUP}/images/mine"}),
        (f"{IN_GROUP.lower()}/images/mine", {"id": f"{IN_GROUP.lower()}/images/mine"}),
        (f"{IN_GALLERY}/images/i", {"id": f"{IN_GALLERY}/images/i"}),
        (f"{IN_GALLERY}/images/i/versions/1.0.0", {"id": f"{IN_GALLERY}/images/i/versions/1.0.0"}),
        (COMMUNITY, {"id": COMMUNITY}),
    ],
)
def test_other_images_can_be_named(
    make: MakeProvider, lab: AzureLab, image: str, reference: dict[str, Any]
) -> None:
    make(image=image).create(offer(), batch())
    assert machine(lab)["storageProfile"]["imageReference"] == reference


def test_the_newest_release_with_long_support_is_the_default(
    provider: AzureProvider, lab: AzureLab
) -> None:
    provider.create(offer(), batch())
    image = machine(lab)["storageProfile"]["imageReference"]
    assert image == {
        "publisher": "Canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": "server",
        "version": "latest",
    }


@pytest.mark.parametrize(
    "image",
    [
        "debian:13",
        "/subscriptions/s/images/mine",
        IN_GALLERY,
        f"{IN_GALLERY}/applications/a",
        f"{IN_GROUP}/disks/d",
        f"{IN_GROUP}/snapshots/d:a:b:c",
    ],
)
def test_an_image_that_is_none_is_refused(make: MakeProvider, image: str) -> None:
    with pytest.raises(ConfigError, match=rf"provider\.azure\.image: '{image}'"):
        make(image=image).create(offer(), batch())
    (problem,) = make(image=image).doctor()
    assert problem.exit_code == 2


def test_a_size_that_is_not_sold_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="does not sell Standard_M128s"):
        make(sizes=["Standard_M128s"]).create(offer("Standard_M128s"), batch())
