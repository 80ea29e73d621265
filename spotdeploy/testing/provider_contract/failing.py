"""Promises of every method while the cloud answers with errors that nobody foresaw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from spotdeploy.errors import ProviderError
from spotdeploy.model import FateKind, Pool
from spotdeploy.provider import (
    SupportsAccount,
    SupportsAllLocations,
    SupportsClaims,
    SupportsConsole,
)
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need
from spotdeploy.testing.provider_contract.supporting import claim_labels, supports

T = TypeVar("T")


class Failing(LabFixtures):
    """An answer that failed is told: it is never an empty list, a success or a guess."""

    def test_nodes_that_cannot_be_listed_raise(self, lab: Lab) -> None:
        nodes = lab.create(2)
        _outage(lab)
        _raises(lambda: lab.provider.nodes(lab.scope))
        lab.heal()
        assert lab.listed().keys() == ids(nodes)

    def test_leftovers_that_cannot_be_listed_raise(self, lab: Lab) -> None:
        lab.create()
        things = list(lab.provider.leftovers(lab.scope))
        _needs_leftovers(things)
        _outage(lab)
        _raises(lambda: lab.provider.leftovers(lab.scope))
        lab.heal()
        assert list(lab.provider.leftovers(lab.scope)) == things

    def test_a_create_that_fails_raises_and_creates_nothing(self, lab: Lab) -> None:
        _outage(lab)
        _raises(lambda: lab.request(lab.batch(2)))
        lab.heal()
        lab.settle()
        assert lab.listed() == {}

    def test_a_destroy_that_fails_raises(self, lab: Lab) -> None:
        nodes = lab.create(2)
        _outage(lab)
        _raises(lambda: lab.provider.destroy(nodes))
        lab.heal()
        assert lab.living() == ids(nodes)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)

    def test_a_release_that_fails_raises(self, lab: Lab) -> None:
        nodes = lab.create()
        things = list(lab.provider.leftovers(lab.scope))
        _needs_leftovers(things)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        _outage(lab)
        _raises(lambda: lab.provider.release(things))

    def test_a_fate_that_cannot_be_asked_is_not_guessed(self, lab: Lab) -> None:
        (node,) = lab.create()
        _outage(lab)
        fate = _answer(lambda: lab.provider.fate(node))
        assert fate is None or fate.kind is FateKind.UNKNOWN

    def test_doctor_tells_of_an_outage_or_raises(self, lab: Lab) -> None:
        _outage(lab)
        problems = _answer(lab.provider.doctor)
        assert problems is None or [problem for problem in problems if problem.fatal]

    def test_offers_that_cannot_be_asked_raise_or_are_as_ever(self, lab: Lab, pool: Pool) -> None:
        offers = {offer.size for offer in lab.provider.offers(pool)}
        _outage(lab)
        found = _answer(lambda: lab.provider.offers(pool))
        assert found is None or {offer.size for offer in found} == offers

    def test_an_account_that_cannot_be_asked_is_not_invented(self, lab: Lab) -> None:
        provider = supports(lab, SupportsAccount)
        known = provider.account()
        _outage(lab)
        fresh = lab.make_provider()
        assert isinstance(fresh, SupportsAccount)
        assert _answer(fresh.account) in (None, known)

    def test_locations_that_cannot_be_listed_raise(self, lab: Lab) -> None:
        provider = supports(lab, SupportsAllLocations)
        known = list(provider.all_locations())
        _outage(lab)
        found = _answer(provider.all_locations)
        assert found is None or list(found) == known

    def test_a_claim_that_cannot_be_made_raises(self, lab: Lab) -> None:
        provider = supports(lab, SupportsClaims)
        _outage(lab)
        _raises(lambda: provider.claim(claim_labels(lab, "run-1")))

    def test_a_console_that_cannot_be_read_raises(self, lab: Lab) -> None:
        provider = supports(lab, SupportsConsole)
        (node,) = lab.create()
        _outage(lab)
        _raises(lambda: provider.console(node))


def _outage(lab: Lab) -> None:
    need(lab.powers.outage, "Powers.outage")()


def _raises(action: Callable[[], object]) -> None:
    """It must raise an error of ours, with the cloud's words."""
    with pytest.raises(ProviderError) as error:
        action()
    assert error.value.message


def _answer(action: Callable[[], T]) -> T | None:
    """The answer, or None when it raised an error of ours; any other error is a bug."""
    try:
        return action()
    except ProviderError:
        return None


def _needs_leftovers(things: Sequence[object]) -> None:
    if not things:
        pytest.skip("this provider makes nothing besides nodes")
