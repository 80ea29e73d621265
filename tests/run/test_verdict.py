"""From results to a verdict."""

from __future__ import annotations

import pytest

from spotdeploy.model import Node, NodeState, Phase, Verdict
from spotdeploy.run.verdict import NodeOutcome, Receipt, Refusal, judge, told_once

CLEAN = Receipt(listings=2)
LEAK = Receipt(left=("node x",))


def outcomes(*verdicts: Verdict) -> list[NodeOutcome]:
    return [
        NodeOutcome(
            Node(f"n{i}", f"n{i}", "fake", "here", NodeState.RUNNING),
            verdict,
            Phase.VERIFY,
            "" if verdict is Verdict.PASSED else "why",
        )
        for i, verdict in enumerate(verdicts)
    ]


JUDGED = [one for one in Verdict if one not in (Verdict.REFUSED, Verdict.UNFINISHED)]
"""Those that a run can end with."""
P, Y, F = Verdict.PASSED, Verdict.PAYLOAD_FAILED, Verdict.INFRASTRUCTURE_FAILED


@pytest.mark.parametrize(
    ("verdicts", "receipts", "quorum", "stopped", "desired"),
    [
        ((P, P, P), [CLEAN], 3, False, Verdict.PASSED),
        ((P, P, Y), [CLEAN], 3, False, Verdict.PAYLOAD_FAILED),
        ((P, P, F), [CLEAN], 3, False, Verdict.INFRASTRUCTURE_FAILED),
        ((P, P, F), [CLEAN], 2, False, Verdict.PASSED),
        ((P, Y, F), [CLEAN], 2, False, Verdict.PAYLOAD_FAILED),
        ((P, Y, F), [CLEAN], 3, False, Verdict.INFRASTRUCTURE_FAILED),
        ((P, P, P), [CLEAN, LEAK], 3, False, Verdict.LEAKED),
        ((P, Y, F), [LEAK], 3, False, Verdict.LEAKED),
        ((P, P, P), [CLEAN], 3, True, Verdict.STOPPED),
        ((), [LEAK], 3, True, Verdict.LEAKED),
        ((), [], 3, False, Verdict.INFRASTRUCTURE_FAILED),
    ],
)
def test_the_worst_trouble_decides(
    verdicts: tuple[Verdict, ...],
    receipts: list[Receipt],
    quorum: int,
    stopped: bool,
    desired: Verdict,
) -> None:
    verdict, _ = judge(outcomes(*verdicts), receipts, desired=3, quorum=quorum, stopped=stopped)
    assert verdict is desired


def test_no_verdict_but_passed_has_exit_code_0() -> None:
    assert [verdict for verdict in JUDGED if verdict.exit_code == 0] == [Verdict.PASSED]


def test_exit_codes_are_the_documented_ones() -> None:
    assert [verdict.exit_code for verdict in JUDGED] == [0, 1, 1, 3, 4, 130]


def test_a_shortfall_is_told_with_each_place_tried_and_why() -> None:
    refusals = [Refusal("aws us-east-1a t3.small spot", 3, 1, "InsufficientInstanceCapacity")]
    verdict, message = judge(outcomes(P), [], desired=3, quorum=3, refusals=refusals, created=1)
    assert verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "2 of 3 nodes could not be created" in message
    assert "aws us-east-1a t3.small spot: InsufficientInstanceCapacity" in message


def test_a_passed_quorum_says_how_many_are_healthy() -> None:
    assert judge(outcomes(P, P), [], desired=3, quorum=2)[1].startswith("2 of 3 nodes are healthy")


def test_one_failure_on_many_nodes_is_told_once_with_their_number() -> None:
    verdict, message = judge(outcomes(Y, P, Y, Y), [], desired=4, quorum=4)
    assert (verdict, message) == (Verdict.PAYLOAD_FAILED, "3 nodes: why")
    verdict, message = judge(outcomes(F, F), [], desired=2, quorum=2)
    assert (verdict, message) == (Verdict.INFRASTRUCTURE_FAILED, "2 nodes: why")
    assert judge(outcomes(Y, P), [], desired=2, quorum=2)[1] == "n0: why"


def test_nodes_that_name_themselves_fail_alike() -> None:
    one, other = ("shop-1", "10.0.0.1"), ("shop-2", "10.0.0.12")
    assert told_once(
        [
            (*one, "http://10.0.0.1:80 refused"),
            (*one, "shop-1 is down"),
            (*other, "http://10.0.0.12:80 refused"),
            (*other, "shop-2 is up"),
        ]
    ) == [
        "2 nodes: http://<address>:80 refused",
        "shop-1: shop-1 is down",
        "shop-2: shop-2 is up",
    ]


@pytest.mark.parametrize("text", ["shop-11 is down", "my-shop-1 is down", "110.0.0.1", "10.0.0.12"])
def test_what_only_looks_like_a_node_of_its_own_is_told_as_it_is(text: str) -> None:
    nodes = [(f"shop-{number}", f"10.0.0.{number}") for number in (1, 2)]
    assert told_once((*node, text) for node in nodes) == [f"2 nodes: {text}"]


def test_what_one_node_says_twice_is_of_one_node() -> None:
    assert told_once([("a", None, "no"), ("a", None, "no")]) == ["a: no"]
