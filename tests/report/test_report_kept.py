"""What nodes cost after the run that kept them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spotdeploy import labels
from spotdeploy.model import Node, NodeState
from spotdeploy.report.kept import kept_of
from spotdeploy.report.model import RunReport, build
from spotdeploy.state.journal import JournalNode
from tests.report import samples

HOUR = 3600.0


@pytest.fixture
def report() -> RunReport:
    """A run that kept its two nodes of 0.5 USD an hour, each with two hours to live."""
    sample = samples.passing(2)
    made = build(sorted(sample.events, key=lambda event: event.at))
    nodes = tuple(msgspec.structs.replace(node, usd_per_hour=0.5) for node in made.nodes)
    kept = tuple(left(node.id, made.run, made.ended_at + 2 * HOUR) for node in nodes)
    return msgspec.structs.replace(made, nodes=nodes, kept=kept)


def left(id_: str, run: str, expires: float) -> Node:
    marks = {labels.RUN: run, labels.EXPIRES: str(int(expires))}
    return Node(id_, id_, "aws", "us-west-2", NodeState.RUNNING, labels=marks)


def gone(id_: str, at: float | None) -> JournalNode:
    more: dict[str, Any] = {"run": "", "token": "", "name": id_, "made_at": 0.0, "seen_at": 0.0}
    return JournalNode("aws", "us-west-2", id_, gone_at=at, gone_by="", host_key=None, **more)


def test_nodes_that_stand_cost_until_now(report: RunReport) -> None:
    kept = kept_of([report], [], report.ended_at + HOUR)
    assert kept.standing == 2
    assert kept.cost.usd == pytest.approx(1.0)


def test_nodes_cost_until_they_were_seen_gone(report: RunReport) -> None:
    first, second = report.kept
    known = [gone(first.id, report.ended_at + HOUR / 2), gone(second.id, None)]
    kept = kept_of([report], known, report.ended_at + HOUR)
    assert kept.standing == 1
    assert kept.cost.usd == pytest.approx(0.75)


def test_nodes_that_nobody_ended_cost_until_their_time_to_live(report: RunReport) -> None:
    kept = kept_of([report], [], report.ended_at + 100 * HOUR)
    assert kept.standing == 0
    assert kept.cost.usd == pytest.approx(2.0, abs=0.001)


def test_nodes_of_an_earlier_run_are_that_ones(report: RunReport) -> None:
    later = msgspec.structs.replace(report, run="20251125-000000-fff000", command="verify")
    assert kept_of([later], [], report.ended_at + HOUR).cost.nodes == 0


def test_an_unknown_price_stays_unknown(report: RunReport) -> None:
    nodes = tuple(msgspec.structs.replace(node, usd_per_hour=None) for node in report.nodes)
    unpriced = msgspec.structs.replace(report, nodes=nodes)
    assert str(kept_of([unpriced], [], report.ended_at + HOUR).cost) == "unknown"
