"""Promises of `nodes`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy import labels as label_rules
from spotdeploy.model import NodeState, Pool
from spotdeploy.provider import Provider
from spotdeploy.testing.provider_contract.lab import CLOCKS_APART, Lab, LabFixtures, ids, need

LONGEST = 63
"""Characters of a label's value: `spotdeploy.labels`."""


class Listing(LabFixtures):
    """`nodes` shows all that is ours, and nothing else."""

    def test_nodes_asks_the_cloud_and_not_its_own_memory(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        created = lab.create(2)
        assert ids(make_provider().nodes(lab.scope)) == ids(created)

    def test_nodes_leaves_out_what_has_other_labels(self, lab: Lab) -> None:
        mine, others = lab.create(), lab.beside.create()
        assert lab.listed().keys() == ids(mine)
        assert lab.beside.listed().keys() == ids(others)

    def test_any_value_of_a_label_finds_the_nodes_of_every_deployment(self, lab: Lab) -> None:
        mine, others = lab.create(), lab.beside.create()
        found = ids(lab.provider.nodes(label_rules.anyones()))
        assert ids(mine) | ids(others) <= found
        run = {**label_rules.anyones(), label_rules.RUN: "run-3"}
        assert not ids(lab.provider.nodes(run)) & (ids(mine) | ids(others))

    def test_nodes_wants_every_label(self, lab: Lab) -> None:
        lab.create(run="run-1")
        second = lab.create(run="run-2")
        assert ids(lab.provider.nodes({**lab.scope, label_rules.RUN: "run-2"})) == ids(second)
        assert ids(lab.provider.nodes({**lab.scope, label_rules.RUN: "run-3"})) == set()

    def test_nodes_without_labels_is_an_error(self, lab: Lab) -> None:
        with pytest.raises(ValueError, match=r"."):
            lab.provider.nodes({})

    def test_labels_come_back_in_the_spelling_they_were_given(self, lab: Lab) -> None:
        batch = lab.batch()
        lab.until_listed(lab.request(batch).nodes)
        (node,) = lab.listed().values()
        assert dict(batch.labels).items() <= dict(node.labels).items()

    def test_nodes_takes_no_more_calls_for_many_nodes(self, lab: Lab) -> None:
        lab.create()
        calls = lab.count_calls(lambda: lab.provider.nodes(lab.scope))
        lab.create(4)
        assert lab.count_calls(lambda: lab.provider.nodes(lab.scope)) == calls

    def test_nodes_may_be_repeated(self, lab: Lab) -> None:
        created = lab.create(2)
        for _ in range(3):
            assert lab.listed().keys() == ids(created)

    def test_stopped_nodes_are_listed(self, lab: Lab) -> None:
        (node,) = lab.create()
        need(lab.powers.stop, "Powers.stop")(node)
        lab.until(
            lambda: lab.listed()[node.id].state is NodeState.STOPPED,
            lab.facts.gone_within,
            "be listed as stopped",
        )

    def test_nodes_lists_more_than_one_page(self, lab: Lab) -> None:
        created = lab.create(lab.facts.page_size + 1)
        assert lab.listed().keys() == ids(created)

    def test_listed_nodes_are_described_as_they_were_created(self, lab: Lab) -> None:
        (made,) = lab.create()
        seen = lab.listed()[made.id]
        assert (seen.size, seen.market) == (made.size, made.market)
        assert seen.created_at is None or abs(seen.created_at - lab.clock.now()) < CLOCKS_APART
        lab.clock.sleep(lab.facts.poll)
        assert lab.listed()[made.id].created_at == seen.created_at

    def test_the_label_of_a_batch_finds_its_nodes_alone(self, lab: Lab) -> None:
        first, second = lab.create(2), lab.create()
        for nodes in (first, second):
            token = nodes[0].labels[label_rules.BATCH]
            found = lab.provider.nodes({**lab.scope, label_rules.BATCH: token})
            assert ids(found) == ids(nodes)

    def test_a_label_that_no_node_has_finds_none(self, lab: Lab) -> None:
        lab.create()
        assert not lab.provider.nodes({**lab.scope, "surely-no-such-label": "x"})
        assert not lab.provider.nodes(label_rules.scope(lab.deployment[:-1]))

    def test_labels_may_be_as_long_as_the_core_makes_them(self, lab: Lab) -> None:
        batch = lab.batch()
        batch = replace(batch, token=f"{batch.token}-".ljust(LONGEST, "0"))
        batch = replace(batch, labels={**batch.labels, label_rules.BATCH: batch.token})
        nodes = lab.request(batch).nodes
        lab.until_listed(nodes)
        found = lab.provider.nodes({**lab.scope, label_rules.BATCH: batch.token})
        assert [dict(batch.labels).items() <= dict(node.labels).items() for node in found] == [True]

    def test_each_location_lists_its_own_nodes(
        self, lab: Lab, make_elsewhere: Callable[[], Provider[Any]] | None, pool: Pool
    ) -> None:
        there = need(make_elsewhere, "a second location (the `make_elsewhere` fixture)")()
        here = lab.create(2)
        elsewhere = dataclasses.replace(
            lab, provider=there, offer=there.offers(pool)[0], made=set(), seen=set()
        )
        try:
            theirs = elsewhere.create(2)
            assert {node.location for node in theirs} == {elsewhere.offer.location}
            assert elsewhere.offer.location != lab.offer.location
            assert lab.listed().keys() == ids(here)
            assert elsewhere.listed().keys() == ids(theirs)
            assert not ids(here) & ids(theirs)
        finally:
            elsewhere.clean()

    def test_a_node_that_was_taken_back_is_not_listed_as_running(self, lab: Lab) -> None:
        (node,) = lab.create()
        need(lab.powers.interrupt, "Powers.interrupt")(node)
        ended = {NodeState.STOPPED, NodeState.GOING}
        lab.until(
            lambda: {one.state for one in lab.listed().values()} <= ended,
            lab.facts.gone_within,
            "be listed as stopped or not at all",
        )
