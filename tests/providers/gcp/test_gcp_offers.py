"""Candidates, prices and images."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.model import Market, MarketPolicy, Pool
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab, catalogue
from tests.providers.gcp.conftest import MakeProvider, batch, offer

ZONES = [f"us-central1-{letter}" for letter in "abcf"]


def image(lab: GcpLab) -> str:
    """The image of the last bulk insert."""
    call = [call for call in lab.calls if call.method == "compute.instances.bulkInsert"][-1]
    asked = call.body["instanceProperties"]["disks"][0]["initializeParams"]
    return str(asked["sourceImage"]).rpartition("/")[2]


def test_sizes_keep_their_order_and_so_do_zones(make: MakeProvider) -> None:
    offers = make(sizes=["n2-standard-2", "e2-small"]).offers(Pool(1))
    assert [o.size for o in offers] == ["n2-standard-2"] * 4 + ["e2-small"] * 4
    assert [o.zone for o in offers[:4]] == ZONES


def test_given_zones_are_used_in_the_order_given(make: MakeProvider) -> None:
    provider = make(zones=["us-central1-f", "europe-west4-a", "us-central1-a"])
    assert [o.zone for o in provider.offers(Pool(1))] == ["us-central1-f", "us-central1-a"]


def test_zones_that_are_all_elsewhere_are_named(make: MakeProvider) -> None:
    with pytest.raises(
        ConfigError, match=r"none of provider\.gcp\.zones is in us-central1"
    ) as caught:
        make(zones=["europe-west4-a"]).offers(Pool(1))
    assert "us-central1-f" in str(caught.value.hint)


def test_an_ai_zone_is_offered_only_when_it_is_named(make: MakeProvider) -> None:
    usual = make(sizes=["g2-standard-4"]).offers(Pool(1))
    assert "us-central1-ai1a" not in {o.zone for o in usual}
    provider = make(sizes=["g2-standard-4"], zones=["us-central1-ai1a", "us-central1-b"])
    assert [o.zone for o in provider.offers(Pool(1))] == ["us-central1-ai1a", "us-central1-b"]


def test_the_second_market_comes_after_all_of_the_first(make: MakeProvider) -> None:
    offers = make().offers(Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND))
    assert [o.market for o in offers] == [Market.SPOT] * 4 + [Market.ON_DEMAND] * 4


def test_without_a_price_list_no_price_is_known_and_none_passes_a_limit(
    make: MakeProvider,
) -> None:
    provider = make(sizes=["e2-small", "n2-standard-2"])
    offers = provider.offers(Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND))
    assert {o.usd_per_hour for o in offers} == {None}
    limit = Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND, max_usd_per_hour=9.0)
    assert list(provider.offers(limit)) == []


def test_zones_that_do_not_sell_a_size_are_left_out(make: MakeProvider) -> None:
    offers = make(sizes=["t2a-standard-1"]).offers(Pool(1))
    assert [o.zone for o in offers] == ["us-central1-a", "us-central1-b", "us-central1-f"]


def test_offers_create_nothing_and_need_two_calls(provider: GcpProvider, lab: GcpLab) -> None:
    provider.offers(Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND))
    assert sorted(lab.called()) == ["machineTypes.aggregatedList", "regions.get"]
    assert lab.instances() == {}


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ("e2-small", "ubuntu-2404-noble-amd64-v20260315"),
        ("t2a-standard-1", "ubuntu-2404-noble-arm64-v20260315"),
    ],
)
def test_the_newest_long_term_release_of_the_right_architecture_is_booted(
    make: MakeProvider, lab: GcpLab, size: str, name: str
) -> None:
    make(sizes=[size]).create(offer(size=size), batch())
    assert image(lab) == name


@pytest.mark.parametrize(
    ("configured", "name"), [("mine-v1", "mine-v1"), ("family/mine", "mine-v2")]
)
def test_an_image_may_be_named_or_be_the_newest_of_its_family(
    make: MakeProvider, lab: GcpLab, configured: str, name: str
) -> None:
    make(image=configured).create(offer(), batch())
    assert image(lab) == name


@pytest.mark.parametrize(
    "table",
    [
        {"image": "absent"},
        {"image": "family/absent"},
        {"image": "mine-v1", "sizes": ["t2a-standard-1"]},
    ],
)
def test_an_image_that_will_not_do_is_named_with_its_project(
    make: MakeProvider, table: dict[str, object]
) -> None:
    provider = make(**table)
    size = provider.offers(Pool(1))[0].size
    with pytest.raises(ConfigError, match=r"image .* in project lab-project"):
        provider.create(offer(size=size), batch())


def test_the_image_is_looked_up_once_in_a_run_and_anew_in_the_next(
    make: MakeProvider, lab: GcpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make(image="family/mine")
    provider.create(offer(), batch())
    provider.create(offer(), batch(token="token-1"))
    assert lab.called().count("images.list") == 1
    newer = ("mine-v3", "mine", "X86_64", "")
    mine = (*catalogue.IMAGES[lab.project], newer)
    monkeypatch.setitem(catalogue.IMAGES, lab.project, mine)
    make(image="family/mine").create(offer(), batch(token="token-2"))
    assert image(lab) == "mine-v3"


def test_a_size_that_is_sold_nowhere_is_named(make: MakeProvider) -> None:
    assert make(sizes=["z9-huge"]).offers(Pool(1)) == []
    with pytest.raises(ConfigError, match="z9-huge"):
        make(sizes=["z9-huge"]).create(offer(size="z9-huge"), batch())
