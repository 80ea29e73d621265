"""Promises of `nodes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spotdeploy import labels as label_rules
from spotdeploy.model import NodeState
from spotdeploy.provider import Provider
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Listing(LabFixtures):
    """`nodes` shows all that is ours, and nothing else."""

    def test_nodes_lists_what_was_created(self, lab: Lab) -> None:
        created = lab.create(2)
        assert lab.listed().keys() == ids(created)
        for node in created:
            seen = lab.listed()[node.id]
            assert (seen.name, seen.provider, seen.location) == (
                node.name,
                node.provider,
                node.location,
            )

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

    def test_a_running_node_has_an_address(self, lab: Lab) -> None:
        (node,) = lab.create()
        lab.until(
            lambda: lab.listed()[node.id].state is NodeState.RUNNING,
            lab.facts.listed_within,
            "run",
        )
        assert lab.listed()[node.id].address

    def test_gone_nodes_are_not_listed(self, lab: Lab) -> None:
        going, staying = lab.create(2)
        lab.provider.destroy([going])
        lab.until_gone([going])
        assert lab.listed().keys() == {staying.id}
        assert NodeState.GONE not in {node.state for node in lab.listed().values()}
