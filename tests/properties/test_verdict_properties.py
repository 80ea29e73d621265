"""What holds for every verdict, whatever happened."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.model import Node, NodeState, Phase, Verdict
from spotdeploy.run.verdict import NodeOutcome, Receipt, Refusal, judge
from tests.properties.effort import USUAL

RANK = {0: 0, 1: 1, 3: 2, 130: 3, 4: 4}
"""Exit codes from the best to the worst: 4, then 130, then 3, then 1."""
WORDS = st.text(max_size=20)
NODE_VERDICTS = st.sampled_from(
    [Verdict.PASSED, Verdict.PAYLOAD_FAILED, Verdict.INFRASTRUCTURE_FAILED]
)


def outcome(number: int, verdict: Verdict, message: str) -> NodeOutcome:
    node = Node(f"i-{number}", f"n-{number}", "fake", "here", NodeState.RUNNING)
    return NodeOutcome(node, verdict, Phase.VERIFY, message)


NODES = st.lists(st.tuples(NODE_VERDICTS, WORDS), max_size=6).map(
    lambda found: [outcome(i, verdict, message) for i, (verdict, message) in enumerate(found)]
)
RECEIPTS = st.lists(
    st.builds(Receipt, listings=st.integers(0, 2), left=st.lists(WORDS, max_size=2).map(tuple)),
    max_size=3,
)
REFUSALS = st.lists(
    st.builds(Refusal, WORDS, st.integers(1, 4), st.integers(0, 3), WORDS), max_size=3
)


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    """Everything that a verdict is made of: at most as many nodes as wanted."""
    nodes = draw(NODES)
    desired = draw(st.integers(max(1, len(nodes)), 8))
    return {
        "nodes": nodes,
        "receipts": draw(RECEIPTS),
        "desired": desired,
        "quorum": draw(st.integers(1, desired)),
        "refusals": draw(REFUSALS),
        "created": draw(st.none() | st.integers(0, desired)),
        "stopped": draw(st.booleans()),
    }


def code(run: dict[str, Any]) -> int:
    verdict, message = judge(
        run["nodes"], run["receipts"], **{k: run[k] for k in run if k not in ("nodes", "receipts")}
    )
    assert isinstance(message, str)
    return verdict.exit_code


def count(run: dict[str, Any], verdict: Verdict) -> int:
    return sum(one.verdict is verdict for one in run["nodes"])


@USUAL
@given(run=runs())
def test_a_leak_outranks_a_stop_and_that_the_infrastructure_and_that_the_payload(
    run: dict[str, Any],
) -> None:
    leaked = any(receipt.left for receipt in run["receipts"])
    blamed = count(run, Verdict.PAYLOAD_FAILED)
    answered = count(run, Verdict.PASSED) + blamed
    desired = (
        4
        if leaked
        else 130
        if run["stopped"]
        else 3
        if answered < run["quorum"]
        else 1
        if blamed
        else 0
    )
    assert code(run) == desired


@USUAL
@given(run=runs())
def test_passed_means_that_enough_nodes_passed_and_nothing_is_left(run: dict[str, Any]) -> None:
    if code(run) == 0:
        assert count(run, Verdict.PASSED) >= run["quorum"]
        assert count(run, Verdict.PAYLOAD_FAILED) == 0
        assert all(receipt.clean for receipt in run["receipts"])
        assert not run["stopped"]


@USUAL
@given(run=runs(), what=WORDS)
def test_one_leak_more_is_never_better(run: dict[str, Any], what: str) -> None:
    worse = {**run, "receipts": [*run["receipts"], Receipt(left=(what,))]}
    assert RANK[code(worse)] >= RANK[code(run)]
    assert code(worse) == 4


@USUAL
@given(run=runs(), at=st.integers(0, 5), bad=st.sampled_from(list(Verdict)[1:3]))
def test_one_node_that_fails_in_place_of_one_that_passed_is_never_better(
    run: dict[str, Any], at: int, bad: Verdict
) -> None:
    nodes = list(run["nodes"])
    if at < len(nodes) and nodes[at].verdict is Verdict.PASSED:
        nodes[at] = outcome(at, bad, "it broke")
        assert RANK[code({**run, "nodes": nodes})] >= RANK[code(run)]


@USUAL
@given(run=runs())
def test_a_lower_bar_never_makes_a_pass_of_a_failing_payload(run: dict[str, Any]) -> None:
    if count(run, Verdict.PAYLOAD_FAILED):
        assert all(code({**run, "quorum": bar}) != 0 for bar in range(1, run["desired"] + 1))
