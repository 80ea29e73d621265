"""Promises of the methods that only ask: doctor, offers, protection, what to do by hand."""

from __future__ import annotations

from msgspec.structs import replace

from spotdeploy.model import Market, MarketPolicy, Node, NodeState, Offer, Pool, Resource
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, need


class Asking(LabFixtures):
    """Nothing here may change anything in the cloud."""

    def test_doctor_finds_nothing_that_would_stop_a_run_in_a_healthy_lab(self, lab: Lab) -> None:
        assert [problem for problem in lab.provider.doctor() if problem.fatal] == []

    def test_doctor_reports_expired_credentials_with_a_remedy(self, lab: Lab) -> None:
        need(lab.powers.expire_credentials, "Powers.expire_credentials")()
        fatal = [problem for problem in lab.provider.doctor() if problem.fatal]
        assert fatal
        assert all(problem.what and problem.remedy for problem in fatal)

    def test_doctor_changes_nothing_and_may_be_repeated(self, lab: Lab) -> None:
        lab.create()
        before = lab.listed(), list(lab.provider.leftovers(lab.scope))
        assert list(lab.provider.doctor()) == list(lab.provider.doctor())
        after = lab.listed(), list(lab.provider.leftovers(lab.scope))
        assert (before[0].keys(), before[1]) == (after[0].keys(), after[1])

    def test_doctor_takes_seconds_at_most(self, lab: Lab) -> None:
        assert lab.takes(lab.provider.doctor) < lab.facts.at_once

    def test_offers_are_of_this_provider_and_this_location(self, lab: Lab, pool: Pool) -> None:
        offers = lab.provider.offers(pool)
        assert offers
        assert {offer.provider for offer in offers} == {lab.provider.name}
        assert len({offer.location for offer in offers}) == 1
        assert all(offer.size for offer in offers)
        assert len(set(offers)) == len(offers)

    def test_offers_keep_to_the_market_of_the_pool(self, lab: Lab, pool: Pool) -> None:
        for policy in MarketPolicy:
            markets = {offer.market for offer in lab.provider.offers(replace(pool, policy=policy))}
            assert markets <= set(policy.markets), policy

    def test_offers_put_spot_first_when_the_pool_prefers_it(self, lab: Lab, pool: Pool) -> None:
        mixed = replace(pool, policy=MarketPolicy.SPOT_THEN_ON_DEMAND)
        markets = [offer.market for offer in lab.provider.offers(mixed)]
        assert markets == sorted(markets, key=[Market.SPOT, Market.ON_DEMAND].index)

    def test_a_price_is_unknown_or_above_zero_unless_nodes_are_free(
        self, lab: Lab, pool: Pool
    ) -> None:
        priced = _priced(list(lab.provider.offers(pool)))
        assert all(price > 0 or (lab.facts.free and price == 0) for price in priced.values())

    def test_offers_above_the_price_limit_are_left_out(self, lab: Lab, pool: Pool) -> None:
        priced = _priced(list(lab.provider.offers(pool)))
        for limit in (1e-9, *priced.values()):
            offers = list(lab.provider.offers(replace(pool, max_usd_per_hour=limit)))
            cheap = [offer for offer, price in priced.items() if price <= limit]
            assert offers == cheap, f"at {limit} USD per hour"

    def test_offers_creates_nothing_and_may_be_repeated(self, lab: Lab, pool: Pool) -> None:
        assert list(lab.provider.offers(pool)) == list(lab.provider.offers(pool))
        assert lab.listed() == {}
        assert list(lab.provider.leftovers(lab.scope)) == []

    def test_auto_shutdown_is_a_few_words(self, lab: Lab) -> None:
        message = lab.provider.auto_shutdown()
        assert message.strip() == message
        assert 0 < len(message) <= 120
        assert message.isprintable()

    def test_manual_delete_command_names_the_thing_in_one_line(self, lab: Lab) -> None:
        name, location = lab.provider.name, lab.offer.location
        for thing in (
            Node("some-id", "some-name", name, location, NodeState.RUNNING),
            Resource("disk", "some-id", name, location),
        ):
            assert "some-id" in lab.provider.manual_delete_command(thing)
            assert lab.provider.manual_delete_command(thing).isprintable()

    def test_manual_list_command_names_every_label_in_one_line(self, lab: Lab) -> None:
        message = lab.provider.manual_list_command(lab.scope)
        assert message.isprintable()
        assert all(value in message for value in lab.scope.values()), message


def _priced(offers: list[Offer]) -> dict[Offer, float]:
    return {offer: offer.usd_per_hour for offer in offers if offer.usd_per_hour is not None}
