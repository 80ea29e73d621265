"""Promises of `leftovers` and `release`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from spotdeploy import labels as label_rules
from spotdeploy.model import Node, Resource
from spotdeploy.provider import Provider
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Leaving(LabFixtures):
    """Nothing but nodes needs these; where a cloud makes nothing else, most are skipped."""

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

    def test_leftovers_are_found_and_released_from_another_process(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        nodes, _ = _with_leftovers(lab)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        other = make_provider()
        lab.until(lambda: not _released(other, lab), lab.facts.gone_within, "be released")

    def test_releasing_some_leaves_the_others(self, lab: Lab) -> None:
        nodes, things = _with_leftovers(lab)
        _, theirs = _with_leftovers(lab.beside)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.provider.release(things)
        assert list(lab.beside.provider.leftovers(lab.beside.scope)) == list(theirs)

    def test_releasing_nothing_is_success(self, lab: Lab) -> None:
        nodes = lab.create()
        lab.provider.release([])
        assert lab.living() == ids(nodes)

    def test_leftovers_carry_the_labels_that_they_are_found_by(self, lab: Lab) -> None:
        _, things = _with_leftovers(lab)
        for thing in things:
            assert thing.labels.get(label_rules.DEPLOYMENT) == lab.deployment, thing
            assert thing.labels.get(label_rules.RUN) == "run-1", thing

    def test_leftovers_wants_every_label(self, lab: Lab) -> None:
        _with_leftovers(lab)
        mine = {thing.id for thing in lab.provider.leftovers(lab.scope)}
        run = {**lab.scope, label_rules.RUN: "run-1"}
        assert {thing.id for thing in lab.provider.leftovers(run)} == mine
        assert not lab.provider.leftovers({**lab.scope, label_rules.RUN: "run-3"})
        assert not lab.provider.leftovers(label_rules.scope(lab.deployment[:-1]))

    def test_leftovers_of_many_batches_are_all_named(self, lab: Lab) -> None:
        token = _with_leftovers(lab)[0][0].labels[label_rules.BATCH]
        if not lab.provider.leftovers({**lab.scope, label_rules.BATCH: token}):
            pytest.skip("this provider makes nothing of its own for each batch")
        tokens = {token}
        for _ in range(lab.facts.page_size):
            (node,) = lab.create()
            tokens.add(node.labels[label_rules.BATCH])
        things = lab.provider.leftovers(lab.scope)
        assert tokens <= {thing.labels.get(label_rules.BATCH) for thing in things}

    def test_asking_for_leftovers_changes_nothing(self, lab: Lab) -> None:
        need(lab.powers.inventory, "Powers.inventory")
        _with_leftovers(lab)
        before = lab.inventory()
        lab.provider.leftovers(lab.scope)
        assert lab.inventory() == before


def _released(provider: Provider[Any], lab: Lab) -> Sequence[Resource]:
    """What is left after one more try."""
    provider.release(provider.leftovers(lab.scope))
    return provider.leftovers(lab.scope)


def _with_leftovers(lab: Lab) -> tuple[Sequence[Node], Sequence[Resource]]:
    nodes = lab.create(2)
    things = lab.provider.leftovers(lab.scope)
    if not things:
        pytest.skip("this provider makes nothing besides nodes")
    return nodes, things
