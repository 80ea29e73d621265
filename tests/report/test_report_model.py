"""From events to a report, and to report.json."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spotdeploy.errors import RefusedError
from spotdeploy.events import CheckAnswered, NodeCreated, NodeEnded, Note, PhaseStarted, RunStarted
from spotdeploy.model import Node, NodeState, Verdict
from spotdeploy.report.event_log import EVENTS, REPORT
from spotdeploy.report.model import RunReport, _paid, build
from spotdeploy.report.run_store import find_run, read_events, read_report
from spotdeploy.run.verdict import Outcome, Receipt
from tests.report import samples

START = RunStarted(
    at=100.0, run="r", command="cycle", deployment="demo", providers=("aws",), digest="d", desired=1
)
BORN = NodeCreated(
    at=110.0,
    node="i-1",
    name="demo-1",
    provider="aws",
    location="us-west-2",
    zone="b",
    size="small",
    market="spot",
    usd_per_hour=3600.0,
)


def test_a_run_is_told_with_a_lane_for_each_node(tmp_path: Path) -> None:
    report = read_report(samples.passing(3).write(tmp_path))
    assert (report.verdict, report.exit_code, len(report.nodes)) == ("passed", 0, 3)
    assert [step.name for step in report.steps] == ["plan", "destroy", "create"]
    (node, *_) = report.nodes
    assert [phase.name for phase in node.phases] == ["boot", "ship", "deploy", "reboot", "verify"]
    assert [answer.name for answer in node.checks if answer.ok] != []
    assert report.checks == samples.CHECKS


def test_an_interrupted_node_keeps_its_lane_beside_its_replacement(tmp_path: Path) -> None:
    report = read_report(samples.interruption(3).write(tmp_path))
    fates = {node.name: node.fate for node in report.nodes}
    assert fates["demo-aws-2"] == "interrupted"
    assert "demo-aws-r1" in fates
    (taken,) = report.failed
    assert taken.gone is not None
    assert [mark.text for mark in taken.marks] == [
        "replacing demo-aws-2: interrupted during deploy"
    ]


def test_a_run_that_was_killed_is_told_as_far_as_it_came() -> None:
    report = build(
        [START, BORN, PhaseStarted(at=112.0, node="i-1", phase="boot"), Note(at=120.0, text="x")]
    )
    assert report.verdict == Verdict.UNFINISHED
    assert report.exit_code is None
    (phase,) = report.nodes[0].phases
    assert (phase.seconds, phase.ok, phase.open) == (8.0, False, True)


def test_events_of_nodes_nobody_announced_are_no_error() -> None:
    ended = NodeEnded(at=1.0, node="ghost", verdict=Verdict.PASSED)
    assert build([ended, PhaseStarted(at=2.0, node="ghost", phase="boot")]).nodes == ()
    assert build([]).nodes == ()


def test_turns_of_an_answer_are_counted() -> None:
    answers = [
        CheckAnswered(at=111.0 + n, node="i-1", check="c", ok=ok, settled=n == 3)
        for n, ok in enumerate([False, True, False, True])
    ]
    (answer,) = build([START, BORN, *answers]).nodes[0].checks
    assert (answer.ok, answer.settled, answer.turns) == (True, True, 3)


def test_a_node_is_paid_for_until_it_was_seen_gone_and_failed_ones_too(tmp_path: Path) -> None:
    report = read_report(samples.interruption(3).write(tmp_path))
    nodes = {node.name: node for node in report.nodes}
    taken = nodes["demo-aws-2"]
    assert taken.gone is not None
    seconds = sum((node.gone or report.ended_at) - node.start for node in report.nodes)
    assert report.cost.nodes == 4
    assert report.cost.node_seconds == pytest.approx(seconds)
    assert report.cost.usd == pytest.approx(seconds * 0.0125 / 3600)
    (span,) = _paid([taken], report.ended_at)
    assert span.seconds == pytest.approx(taken.gone - taken.start)


def test_report_json_says_everything_and_reads_back(tmp_path: Path) -> None:
    folder = samples.payload_failure(3).write(tmp_path)
    node = Node("i-1", "demo-1", "aws", "us-west-2", NodeState.RUNNING)
    outcome = Outcome(
        "r", "demo", Verdict.PAYLOAD_FAILED, receipts=(Receipt(destroyed=(node,), listings=2),)
    )
    report = build(read_events(folder)[0], outcome)
    (folder / REPORT).write_bytes(msgspec.json.encode(report))
    assert read_report(folder) == report
    failed = [n for n in report.nodes if n.verdict == "payload failed"]
    assert failed[0].evidence.startswith("evidence/")
    assert failed[0].seconds.keys() >= {"boot", "verify"}
    again = build(read_events(folder)[0], earlier=report)
    assert again.receipts == report.receipts


def test_a_report_of_another_format_is_composed_anew(tmp_path: Path) -> None:
    folder = samples.passing(1).write(tmp_path)
    (folder / REPORT).write_text('{"format": 99, "run": "x"}')
    assert isinstance(read_report(folder), RunReport)


def test_lines_that_cannot_be_read_are_passed_over_and_counted(tmp_path: Path) -> None:
    folder = samples.passing(1).write(tmp_path)
    count = len((folder / EVENTS).read_bytes().splitlines())
    with (folder / EVENTS).open("ab") as file:
        file.write(b'{"event":"from-the-future","x":1}\n{"event":"note","te')
    events, unread = read_events(folder)
    assert (len(events), unread) == (count, 2)


def test_runs_are_found_by_id_beginning_or_as_the_last(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = samples.passing(1, run="20251124-100000-aaaaaa").write(runs)
    second = samples.passing(1, run="20251125-100000-bbbbbb").write(runs)
    assert find_run(tmp_path) == find_run(tmp_path, "last") == second
    assert find_run(tmp_path, "20251124") == first
    with pytest.raises(RefusedError, match="2 runs begin with '2025112'"):
        find_run(tmp_path, "2025112")
    with pytest.raises(RefusedError, match="no run 'x'"):
        find_run(tmp_path, "x")
    with pytest.raises(RefusedError, match="no runs in"):
        find_run(tmp_path / "elsewhere")
