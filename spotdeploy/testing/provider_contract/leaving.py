"""Promises of `leftovers` and `release`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spotdeploy import labels as label_rules
from spotdeploy.model import Node, Resource
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Leaving(LabFixtures):
    """Nothing but nodes needs these; where a cloud makes nothing else, most are skipped."""

    def test_nothing_is_left_after_destroy_and_release(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        assert list(lab.provider.leftovers(lab.scope)) == []

    def test_the_cloud_itself_has_nothing_of_ours_in_the_end(self, lab: Lab) -> None:
        remains = need(lab.powers.remains, "Powers.remains")
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        assert list(remains(lab.scope)) == []

    def test_leftovers_are_described_and_are_no_nodes(self, lab: Lab) -> None:
        nodes, things = _with_leftovers(lab)
        assert not {thing.id for thing in things} & ids(nodes)
        for thing in things:
            assert thing.kind
            assert thing.id
            assert (thing.provider, thing.location) == (lab.provider.name, lab.offer.location)

    def test_leftovers_may_be_repeated(self, lab: Lab) -> None:
        _, things = _with_leftovers(lab)
        assert list(lab.provider.leftovers(lab.scope)) == list(things)

    def test_leftovers_of_others_are_not_named(self, lab: Lab) -> None:
        _, theirs = _with_leftovers(lab.beside)
        lab.create()
        mine = {thing.id for thing in lab.provider.leftovers(lab.scope)}
        assert not mine & {thing.id for thing in theirs}

    def test_any_value_of_a_label_finds_the_leftovers_of_every_deployment(self, lab: Lab) -> None:
        _, mine = _with_leftovers(lab)
        _, theirs = _with_leftovers(lab.beside)
        found = {thing.id for thing in lab.provider.leftovers(label_rules.anyones())}
        assert {thing.id for thing in (*mine, *theirs)} <= found

    def test_leftovers_without_labels_names_nothing(self, lab: Lab) -> None:
        lab.create()
        try:
            named = list(lab.provider.leftovers({}))
        except ValueError:
            named = []
        assert named == []

    def test_what_is_still_in_use_is_left_for_the_next_try(self, lab: Lab) -> None:
        nodes, things = _with_leftovers(lab)
        lab.provider.release(things)
        assert lab.living() == ids(nodes)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        assert list(lab.provider.leftovers(lab.scope)) == []

    def test_releasing_a_missing_thing_is_success(self, lab: Lab) -> None:
        nodes, things = _with_leftovers(lab)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        lab.provider.release(things)
        assert list(lab.provider.leftovers(lab.scope)) == []

    def test_releasing_nothing_is_success(self, lab: Lab) -> None:
        nodes = lab.create()
        lab.provider.release([])
        assert lab.living() == ids(nodes)


def _with_leftovers(lab: Lab) -> tuple[Sequence[Node], Sequence[Resource]]:
    nodes = lab.create(2)
    things = lab.provider.leftovers(lab.scope)
    if not things:
        pytest.skip("this provider makes nothing besides nodes")
    return nodes, things
