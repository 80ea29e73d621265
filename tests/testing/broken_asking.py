"""Fake providers that each break one promise of identity, asking or listing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from spotdeploy.errors import CredentialsError
from spotdeploy.labels import ANY
from spotdeploy.model import MarketPolicy, Node, NodeState, Offer, Pool, Problem, Resource
from spotdeploy.provider import ProviderConfig
from spotdeploy.testing import FakeConfig, FakeProvider
from tests.testing.teeth import caught_by


@caught_by("test_the_name_is_lower_case_letters_digits_and_hyphens")
class NamedInUpperCase(FakeProvider):
    name = "Fake"


class LaxConfig(FakeConfig, frozen=True, forbid_unknown_fields=False):
    pass


@caught_by("test_the_config_refuses_unknown_keys")
class TakesAnyKey(FakeProvider):
    Config = LaxConfig


@caught_by("test_the_limits_of_the_class_are_numbers_that_make_sense")
class PollsWithoutPause(FakeProvider):
    poll_seconds = 0.0


@caught_by("test_locations_names_at_least_one_place_and_none_twice")
class NamesALocationTwice(FakeProvider):
    @classmethod
    def locations(cls, config: ProviderConfig) -> Sequence[str]:
        return ("here", "here")


@caught_by(
    "test_doctor_finds_nothing_that_would_stop_a_run_in_a_healthy_lab",
)
class DoctorCriesWolf(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        return (*super().doctor(), Problem("it is Friday", "wait"))


@caught_by("test_doctor_reports_expired_credentials_with_a_remedy")
class DoctorRaises(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        self.account()
        return ()


@caught_by("test_doctor_reports_expired_credentials_with_a_remedy")
class DoctorKnowsNoRemedy(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        return [replace(problem, remedy="") for problem in super().doctor()]


@caught_by("test_doctor_changes_nothing_and_may_be_repeated")
class DoctorEndsNodes(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        try:
            self.account()
        except CredentialsError:
            return super().doctor()
        for id_ in self.cloud.billed():
            if id_.startswith("m-"):
                self.cloud.end(id_, "vanished")
        return ()


@caught_by("test_doctor_takes_seconds_at_most")
class DoctorTakesMinutes(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        self.cloud.clock.sleep(60)
        return super().doctor()


@caught_by("test_offers_are_of_this_provider_and_this_location")
class OffersOfAnotherProvider(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        return [replace(offer, provider="other") for offer in super().offers(pool)]


@caught_by(
    "test_offers_are_of_this_provider_and_this_location",
    "test_offers_above_the_price_limit_are_left_out",
)
class OffersTwice(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        return [offer for offer in super().offers(pool) for _ in range(2)]


@caught_by("test_offers_keep_to_the_market_of_the_pool")
class OffersEveryMarket(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        return super().offers(replace(pool, policy=MarketPolicy.SPOT_THEN_ON_DEMAND))


@caught_by("test_offers_put_spot_first_when_the_pool_prefers_it")
class OffersOnDemandFirst(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        return sorted(super().offers(pool), key=lambda offer: offer.market)


@caught_by("test_a_price_is_unknown_or_above_zero_unless_nodes_are_free")
class ShowsUnknownPricesAsZero(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        offers = super().offers(replace(pool, max_usd_per_hour=None))
        return [replace(offer, usd_per_hour=0.0) for offer in offers]


@caught_by("test_offers_above_the_price_limit_are_left_out")
class IgnoresThePriceLimit(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        return super().offers(replace(pool, max_usd_per_hour=None))


@caught_by("test_offers_above_the_price_limit_are_left_out")
class KeepsUnknownPricesUnderALimit(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        unknown = Offer(self.name, self.location, "a", "odd", pool.policy.markets[-1])
        return [*super().offers(pool), unknown]


@caught_by("test_offers_creates_nothing_and_may_be_repeated", among_others=True)
class OffersInADifferentOrder(FakeProvider):
    asked = 0

    def offers(self, pool: Pool) -> Sequence[Offer]:
        self.asked += 1
        offers = super().offers(pool)
        return offers if self.asked == 1 or len(offers) < 2 else _rotated(offers, self.asked)


@caught_by("test_auto_shutdown_is_a_few_words")
class SaysNothingOfProtection(FakeProvider):
    def auto_shutdown(self) -> str:
        return ""


@caught_by("test_manual_delete_command_names_the_thing_in_one_line")
class ByHandNamesNothing(FakeProvider):
    def manual_delete_command(self, thing: Node | Resource) -> str:
        return "look at the console"


@caught_by("test_manual_list_command_names_every_label_in_one_line")
class LookByHandNamesNothing(FakeProvider):
    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        return "look at the console"


@caught_by("test_the_account_has_an_id_that_stays")
class AccountChanges(FakeProvider):
    def account(self) -> str:
        super().account()
        return secrets.token_hex(4)


@caught_by("test_reading_the_console_takes_seconds_at_most")
class ConsoleWaits(FakeProvider):
    def console(self, node: Node) -> str:
        self.cloud.clock.sleep(120)
        return super().console(node)


@caught_by("test_the_console_is_text_and_may_be_read_again")
class ConsoleGivesBytes(FakeProvider):
    def console(self, node: Node) -> Any:
        return super().console(node).encode()


@caught_by(
    "test_nodes_asks_the_cloud_and_not_its_own_memory",
    "test_any_value_of_a_label_finds_the_nodes_of_every_deployment",
    "test_labels_are_on_the_create_call_itself",
)
class ListsItsOwnMemory(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        mine = self.__dict__.setdefault("mine", set())
        return [node for node in super().nodes(labels) if node.id in mine]

    def create(self, offer: Offer, batch: Any) -> Any:
        made = {machine.id for machine in self.cloud.create(offer, batch)[0]}
        self.__dict__.setdefault("mine", set()).update(made)
        return super().create(offer, batch)


@caught_by(
    "test_nodes_leaves_out_what_has_other_labels",
    "test_destroying_some_leaves_the_others",
)
class ListsByTheKeyAlone(FakeProvider):
    """As a filter by tag key would."""

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        found = list(super().nodes(labels))
        if list(labels) == ["spotdeploy-deployment"]:
            other = {key: _beside(value) for key, value in labels.items()}
            found += super().nodes(other)
        return found


@caught_by("test_any_value_of_a_label_finds_the_nodes_of_every_deployment")
class TakesAnyValueForAValue(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [] if ANY in labels.values() else super().nodes(labels)


@caught_by(
    "test_nodes_wants_every_label",
    "test_any_value_of_a_label_finds_the_nodes_of_every_deployment",
)
class WantsTheFirstLabelOnly(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes(dict(list(labels.items())[:1]))


@caught_by("test_nodes_without_labels_is_an_error")
class ListsNothingForNoLabels(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes(labels) if labels else []


@caught_by(
    "test_labels_come_back_in_the_spelling_they_were_given",
    "test_labels_are_on_the_create_call_itself",
)
class ListsLabelsInUpperCase(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        found = super().nodes(labels)
        return [
            replace(node, labels={key.upper(): value for key, value in node.labels.items()})
            for node in found
        ]


@caught_by("test_nodes_takes_no_more_calls_for_many_nodes")
class DescribesEachNode(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        found = super().nodes(labels)
        for node in found:
            self.fate(node)
        return found


@caught_by("test_stopped_nodes_are_listed")
class LeavesStoppedNodesOut(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [node for node in super().nodes(labels) if node.state is not NodeState.STOPPED]


@caught_by("test_a_running_node_has_an_address")
class GivesNoAddress(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [replace(node, address=None) for node in super().nodes(labels)]


@caught_by("test_nodes_may_be_repeated", among_others=True)
class ListsNothingWhenAskedTwice(FakeProvider):
    """As a naive rate limit would."""

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        now = self.cloud.clock.now()
        early = now == self.__dict__.get("last")
        self.__dict__["last"] = now
        return [] if early else super().nodes(labels)


def _rotated(offers: Sequence[Offer], by: int) -> list[Offer]:
    by %= len(offers)
    return [*offers[by:], *offers[:by]]


def _beside(deployment: str) -> str:
    return deployment.removesuffix("-b") if deployment.endswith("-b") else f"{deployment}-b"
