"""Promises of a node's whole life, on which all others rest: they are tested first."""

from __future__ import annotations

import pytest

from spotdeploy.model import Node, NodeState
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Lifetime(LabFixtures):
    """What was made is listed, runs, goes, and leaves nothing."""

    def test_the_account_has_in_the_end_what_it_had_before(self, lab: Lab) -> None:
        need(lab.powers.inventory, "Powers.inventory")
        before = lab.inventory()
        nodes = lab.create(2)
        assert lab.inventory() > before, "Powers.inventory does not see what was made"
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        lab.until_as_before(before)

    def test_nodes_lists_what_was_created(self, lab: Lab) -> None:
        created = lab.create(2)
        assert sorted(node.id for node in lab.provider.nodes(lab.scope)) == sorted(ids(created))
        for node in created:
            seen = lab.listed()[node.id]
            assert (seen.name, seen.provider, seen.location) == (
                node.name,
                node.provider,
                node.location,
            )

    def test_destroyed_nodes_go(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)

    def test_nodes_shows_a_node_until_it_is_gone(self, lab: Lab) -> None:
        need(lab.powers.inventory, "Powers.inventory")
        (node,) = lab.create()
        if not _exists(lab, node):
            pytest.skip("Powers.inventory does not name nodes by their ids")
        lab.settle()
        lab.provider.destroy([node])

        def is_gone() -> bool:
            is_listed = node.id in lab.listed()
            assert is_listed or not _exists(lab, node), "it still exists and is not listed"
            return not is_listed

        lab.until(is_gone, lab.facts.gone_within, "be gone")

    def test_nothing_is_left_after_destroy_and_release(self, lab: Lab) -> None:
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        assert list(lab.provider.leftovers(lab.scope)) == []

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

    def test_the_cloud_itself_has_nothing_of_ours_in_the_end(self, lab: Lab) -> None:
        remains = need(lab.powers.remains, "Powers.remains")
        nodes = lab.create(2)
        lab.provider.destroy(nodes)
        lab.until_gone(nodes)
        lab.clean()
        assert list(remains(lab.scope)) == []


def _exists(lab: Lab, node: Node) -> bool:
    """True while the inventory has the node's id, or its last part."""
    return any(f"/{node.id}".endswith(f"/{name}") for name in lab.inventory())
