"""Promises of `fate`."""

from __future__ import annotations

from msgspec.structs import replace

from spotdeploy.model import Fate, FateKind, Node, NodeState
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, need


class Fates(LabFixtures):
    """`fate` says what became of a node, and changes nothing."""

    def test_a_living_node_is_alive(self, lab: Lab) -> None:
        (node,) = lab.create()
        assert lab.provider.fate(node).kind is FateKind.ALIVE

    def test_asking_for_a_fate_changes_nothing_and_may_be_repeated(self, lab: Lab) -> None:
        (node,) = lab.create()
        assert lab.provider.fate(node).kind is lab.provider.fate(node).kind
        assert lab.living() == {node.id}

    def test_a_destroyed_node_is_not_alive(self, lab: Lab) -> None:
        (node,) = lab.create()
        lab.provider.destroy([node])
        lab.until_gone([node])
        assert lab.provider.fate(node).kind is not FateKind.ALIVE

    def test_a_node_that_never_was_has_vanished(self, lab: Lab) -> None:
        unknown = need(lab.facts.unknown_id, "Facts.unknown_id")
        (node,) = lab.create()
        assert lab.provider.fate(replace(node, id=unknown)).kind is FateKind.VANISHED

    def test_a_node_that_ended_without_a_word_has_vanished(self, lab: Lab) -> None:
        (node,) = _running(lab)
        need(lab.powers.vanish, "Powers.vanish")(node)
        assert _fate(lab, node).kind is FateKind.VANISHED

    def test_a_node_that_the_cloud_took_back_was_interrupted_in_its_words(self, lab: Lab) -> None:
        (node,) = _running(lab)
        need(lab.powers.interrupt, "Powers.interrupt")(node)
        assert _fate(lab, node).kind is FateKind.INTERRUPTED
        assert lab.provider.fate(node).message

    def test_a_stopped_node_is_stopped(self, lab: Lab) -> None:
        (node,) = _running(lab)
        need(lab.powers.stop, "Powers.stop")(node)
        assert _fate(lab, node).kind is FateKind.STOPPED


def _running(lab: Lab) -> tuple[Node, ...]:
    nodes = lab.create()
    lab.until(
        lambda: all(node.state is NodeState.RUNNING for node in lab.listed().values()),
        lab.facts.listed_within,
        "run",
    )
    return nodes


def _fate(lab: Lab, node: Node) -> Fate:
    """The fate, once the cloud knows of it."""
    lab.until(
        lambda: lab.provider.fate(node).kind is not FateKind.ALIVE, lab.facts.gone_within, "end"
    )
    return lab.provider.fate(node)
