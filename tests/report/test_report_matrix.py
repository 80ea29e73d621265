"""Checks by nodes, and failures told once for all nodes they happened to."""

from __future__ import annotations

import shutil
from pathlib import Path

from spotdeploy.events import CheckAnswered, NodeCreated, NodeEnded, RunStarted
from spotdeploy.model import Verdict
from spotdeploy.report.html.findings import BUDGET, TAIL, findings
from spotdeploy.report.html.matrix import BAD, GOOD, OPEN, UNASKED, matrix
from spotdeploy.report.model import build
from spotdeploy.report.run_store import read_report
from tests.report import samples

MANY = ("aws", "gcp", "azure")


def test_each_provider_has_its_totals(tmp_path: Path) -> None:
    (section,) = matrix(read_report(samples.payload_failure(100, MANY).write(tmp_path)))
    assert [block.provider for block in section.blocks] == list(MANY)
    for block in section.blocks:
        assert (block.passed, block.nodes) == (95, 100)
        assert [(total.good, total.asked) for total in block.totals] == [
            (99, 99),
            (95, 99),
            (99, 99),
            (99, 99),
            (99, 99),
        ]


def test_three_hundred_nodes_become_a_few_rows_those_that_differ_first(tmp_path: Path) -> None:
    (section,) = matrix(read_report(samples.payload_failure(100, MANY).write(tmp_path)))
    for block in section.blocks:
        assert [(len(group.nodes), group.differs) for group in block.rows] == [
            (4, True),
            (1, True),
            (95, False),
        ]
        assert block.rows[0].cells == (GOOD, BAD, GOOD, GOOD, GOOD)
        assert block.rows[1].cells == (UNASKED,) * 5


def test_a_few_nodes_have_a_row_each(tmp_path: Path) -> None:
    (section,) = matrix(read_report(samples.passing(3).write(tmp_path)))
    (block,) = section.blocks
    assert [len(group.nodes) for group in block.rows] == [1, 1, 1]


def test_an_answer_that_never_settled_is_neither_good_nor_bad() -> None:
    start = RunStarted(
        run="r",
        command="cycle",
        deployment="d",
        providers=("aws",),
        digest="",
        desired=1,
        checks=("a", "b"),
    )
    born = NodeCreated(
        node="1", name="n", provider="aws", location="x", zone=None, size=None, market="spot"
    )
    answer = CheckAnswered(node="1", check="a", ok=True, settled=False)
    (section,) = matrix(build([start, born, answer]))
    (block,) = section.blocks
    assert block.rows[0].cells == (OPEN, UNASKED)
    assert (block.totals[0].good, block.totals[0].asked) == (0, 1)


def test_nodes_that_failed_alike_are_one_finding(tmp_path: Path) -> None:
    folder = samples.payload_failure(100, MANY).write(tmp_path)
    verify, deploy = findings(read_report(folder), folder)
    assert (len(verify.nodes), verify.title) == (12, "payload failed in verify")
    assert [(check.name, check.nodes) for check in verify.checks] == [(samples.CHECKS[1], 12)]
    assert verify.checks[0].messages == ((samples.REFUSED_HEALTH, 12),)
    assert (len(deploy.nodes), deploy.title) == (3, "payload failed in deploy")
    assert deploy.messages == (("the entry exited with 7: no space left on device", 3),)


def test_an_interruption_says_that_the_cloud_did_it(tmp_path: Path) -> None:
    folder = samples.interruption(3).write(tmp_path)
    (finding,) = findings(read_report(folder), folder)
    assert finding.title == "interrupted by the cloud in deploy"
    assert finding.tone == "infra"


def test_evidence_is_shown_by_its_end_and_within_bounds(tmp_path: Path) -> None:
    folder = samples.payload_failure(100, MANY).write(tmp_path)
    for log in folder.glob("evidence/*/deployment.log"):
        log.write_text("x" * 50 + "\n" + "line\n" * 200_000)
    index = next(folder.glob("evidence/*/index.json"))
    assert index.exists()
    found = findings(read_report(folder), folder)
    shown = [item for finding in found for item in finding.attachments]
    assert sum(len(item.tail) for item in shown) <= BUDGET
    assert max(len(item.tail) for item in shown) <= TAIL
    (log_item, *_) = found[0].attachments
    assert log_item.tail.startswith("line\n")
    assert log_item.cut


def test_evidence_that_was_moved_away_is_no_error(tmp_path: Path) -> None:
    folder = samples.payload_failure(3).write(tmp_path)
    for log in folder.glob("evidence/*/deployment.log"):
        log.unlink()
    assert findings(read_report(folder), folder)[0].attachments[0].tail == ""
    shutil.rmtree(folder / "evidence")
    assert findings(read_report(folder), folder)[0].attachments == ()


def test_a_node_that_only_ended_is_found_too(tmp_path: Path) -> None:
    born = NodeCreated(
        node="1", name="n", provider="aws", location="x", zone=None, size=None, market="spot"
    )
    ended = NodeEnded(node="1", verdict=Verdict.INFRASTRUCTURE_FAILED, detail="never reachable")
    (finding,) = findings(build([born, ended]), tmp_path)
    assert finding.title == "infrastructure failed in create"
    assert finding.shown is None
