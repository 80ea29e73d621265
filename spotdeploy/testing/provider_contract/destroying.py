"""Promises of `destroy`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy.errors import ProviderError
from spotdeploy.model import Node, NodeState
from spotdeploy.provider import Provider
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Destroying(LabFixtures):
    """`destroy` ends what it is given, all of it and nothing else, however often."""

    def test_destroying_some_leaves_the_others(self, lab: Lab) -> None:
        first, second, third = lab.create(3)
        (stranger,) = lab.beside.create()
        lab.provider.destroy([second])
        lab.until_gone([second])
        assert lab.living() == {first.id, third.id}
        assert lab.beside.living() == {stranger.id}

    def test_destroying_nothing_calls_nothing(self, lab: Lab) -> None:
        assert lab.count_calls(lambda: lab.provider.destroy([])) == 0

    def test_destroying_nothing_destroys_nothing(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.provider.destroy([])
        assert lab.living() == ids(nodes)

    def test_destroying_a_missing_node_is_success(self, lab: Lab) -> None:
        (node,) = lab.create()
        lab.provider.destroy([node])
        lab.until_gone([node])
        lab.provider.destroy([node])
        assert lab.listed() == {}

    def test_destroying_a_node_that_never_was_is_success(self, lab: Lab) -> None:
        (node,) = lab.create()
        stranger = never_was(lab, node)
        lab.provider.destroy([stranger])
        assert lab.living() == {node.id}

    def test_destroying_twice_in_a_row_is_success(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)

    def test_a_node_that_is_named_twice_is_destroyed(self, lab: Lab) -> None:
        (node,) = lab.create()
        lab.provider.destroy([node, node])
        lab.until_gone([node])

    def test_destroying_works_from_another_process(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        nodes = lab.create(2)
        make_provider().destroy(nodes)
        lab.until_gone(nodes)

    def test_a_missing_node_does_not_keep_the_others(self, lab: Lab) -> None:
        first, second, third = lab.create(3)
        lab.provider.destroy([second])
        lab.until_gone([second])
        lab.provider.destroy([first, second, third])
        lab.until_gone([first, third])

    def test_a_node_that_never_was_does_not_keep_the_others(self, lab: Lab) -> None:
        first, second = lab.create(2)
        stranger = never_was(lab, first)
        lab.provider.destroy([first, stranger, second])
        lab.until_gone([first, second])

    def test_a_node_that_cannot_be_ended_does_not_keep_the_others(self, lab: Lab) -> None:
        first, stubborn, third = lab.create(3)
        need(lab.powers.protect, "Powers.protect")(stubborn)
        with suppress(ProviderError):
            lab.provider.destroy([first, stubborn, third])
        lab.until_gone([first, third])
        assert lab.living() == {stubborn.id}

    def test_destroy_does_not_wait_until_they_are_gone(self, lab: Lab) -> None:
        nodes = lab.create(2)
        assert lab.takes(lambda: lab.provider.destroy(nodes)) < lab.facts.at_once

    def test_one_call_ends_many_nodes(self, lab: Lab) -> None:
        if not lab.facts.batch_destroy:
            pytest.skip("this cloud ends nodes one by one (Facts.batch_destroy)")
        first, *others = lab.create(5)
        calls = lab.count_calls(lambda: lab.provider.destroy([first]))
        assert lab.count_calls(lambda: lab.provider.destroy(others)) == calls

    def test_stopped_nodes_can_be_destroyed(self, lab: Lab) -> None:
        (node,) = lab.create()
        need(lab.powers.stop, "Powers.stop")(node)
        lab.provider.destroy([node])
        lab.until_gone([node])

    def test_more_than_one_page_of_nodes_is_destroyed_in_one_go(self, lab: Lab) -> None:
        nodes = lab.create(lab.facts.page_size + 1)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)

    def test_a_destroyed_node_is_not_listed_as_running(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.settle()
        lab.provider.destroy(nodes)
        states = {node.state for node in lab.listed().values()}
        assert states <= {NodeState.GOING, NodeState.STOPPED}


def never_was(lab: Lab, node: Node) -> Node:
    """One like `node` that does not exist. It is old: a cloud need not know a young one yet."""
    unknown = need(lab.facts.unknown_id, "Facts.unknown_id")
    return replace(node, id=unknown, created_at=0.0)
