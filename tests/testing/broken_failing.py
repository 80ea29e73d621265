"""Fake providers that each make something up while their cloud answers with errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.model import (
    Batch,
    Created,
    Fate,
    FateKind,
    Node,
    Offer,
    Pool,
    Problem,
    Resource,
)
from spotdeploy.provider import SupportsAllLocations
from spotdeploy.testing import FakeProvider
from tests.testing.teeth import caught_by


def is_unforeseen(error: ProviderError) -> bool:
    """Neither of the errors that these providers translate well."""
    return not isinstance(error, CredentialsError | ThrottledError)


@caught_by("test_nodes_that_cannot_be_listed_raise")
class ListsNothingInAnOutage(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except ProviderError as error:
            if is_unforeseen(error):
                return []
            raise


@caught_by("test_nodes_that_cannot_be_listed_raise")
class ListsWhatItRemembersInAnOutage(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            self.__dict__["last"] = super().nodes(labels)
        except ProviderError as error:
            if not is_unforeseen(error):
                raise
        return list(self.__dict__["last"])


@caught_by("test_nodes_that_cannot_be_listed_raise")
class RaisesTheLibrarysErrors(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except ProviderError as error:
            raise ConnectionError("HTTP 500") from error


@caught_by("test_nodes_that_cannot_be_listed_raise")
class SaysNothingOfAnOutage(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except ProviderError as error:
            raise ProviderError("") from error


@caught_by("test_nodes_that_cannot_be_listed_raise")
class NeverRecovers(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        if "failure" in self.__dict__:
            raise self.__dict__["failure"]
        try:
            return super().nodes(labels)
        except ProviderError as error:
            self.__dict__["failure"] = error
            raise


@caught_by("test_leftovers_that_cannot_be_listed_raise")
class FindsNoLeftoversInAnOutage(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        try:
            return super().leftovers(labels)
        except ProviderError:
            return []


@caught_by("test_a_create_that_fails_raises_and_creates_nothing")
class TakesAFailedCreateForNone(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return super().create(offer, batch)
        except ProviderError as error:
            if is_unforeseen(error):
                return Created((), error.message)
            raise


@caught_by("test_a_destroy_that_fails_raises")
class SwallowsAFailedDestroy(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        try:
            super().destroy(nodes)
        except ProviderError as error:
            if not is_unforeseen(error):
                raise


@caught_by("test_a_release_that_fails_raises")
class SwallowsAFailedRelease(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        try:
            super().release(resources)
        except ProviderError:
            return


@caught_by("test_a_fate_that_cannot_be_asked_is_not_guessed")
class TakesAnOutageForVanished(FakeProvider):
    def fate(self, node: Node) -> Fate:
        try:
            return super().fate(node)
        except ProviderError:
            return Fate(FateKind.VANISHED, "no answer")


@caught_by("test_a_fate_that_cannot_be_asked_is_not_guessed")
class TakesAnOutageForAlive(FakeProvider):
    def fate(self, node: Node) -> Fate:
        try:
            return super().fate(node)
        except ProviderError:
            return Fate(FateKind.ALIVE)


@caught_by("test_doctor_tells_of_an_outage_or_raises")
class DoctorSleepsThroughAnOutage(FakeProvider):
    def doctor(self) -> Sequence[Problem]:
        try:
            return super().doctor()
        except ProviderError:
            return ()


@caught_by("test_offers_that_cannot_be_asked_raise_or_are_as_ever")
class OffersNothingInAnOutage(FakeProvider):
    def offers(self, pool: Pool) -> Sequence[Offer]:
        try:
            return super().offers(pool)
        except ProviderError:
            return []


@caught_by("test_an_account_that_cannot_be_asked_is_not_invented")
class InventsAnAccountInAnOutage(FakeProvider):
    def account(self) -> str:
        try:
            return super().account()
        except ProviderError:
            return "000000000000"


@caught_by("test_the_account_is_the_one_of_the_credentials")
class InventsAnAccount(FakeProvider):
    def account(self) -> str:
        super().account()
        return "000000000000"


@caught_by("test_locations_that_cannot_be_listed_raise")
class ForgetsLocationsInAnOutage(FakeProvider, SupportsAllLocations):
    places: ClassVar = ("here", "there")

    def all_locations(self) -> Sequence[str]:
        try:
            self.cloud.ping("account", self.location)
        except ProviderError:
            return ()
        return self.places


@caught_by("test_a_claim_that_cannot_be_made_raises")
class ClaimsWithoutTheCloud(FakeProvider):
    def claim(self, labels: Mapping[str, str]) -> Resource:
        try:
            return super().claim(labels)
        except ProviderError:
            return Resource("claim", "c-0", self.name, self.location, labels)


@caught_by("test_a_console_that_cannot_be_read_raises")
class ShowsAnEmptyConsoleInAnOutage(FakeProvider):
    def console(self, node: Node) -> str:
        try:
            return super().console(node)
        except ProviderError:
            return ""
