"""Reports of a config with groups: who is of which, what waited for what, what was not deployed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from spotdeploy.events import GroupEnded, RunStarted, StepEnded, StepStarted
from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.report import github, junit
from spotdeploy.report.compare import compare
from spotdeploy.report.html.findings import findings
from spotdeploy.report.html.matrix import BAD, GOOD, matrix
from spotdeploy.report.html.page import render
from spotdeploy.report.html.timeline import ALONE, picture, thin_picture
from spotdeploy.report.model import RunReport, build, encode
from spotdeploy.report.repetition import summarize
from spotdeploy.report.run_store import read_report, written_report
from spotdeploy.report.writer import write_reports
from tests.report import samples
from tests.report.test_report_junit import violations
from tests.report.test_report_timeline import well_drawn


def report_of(folder: Path, workers: int = 3, bad: tuple[int, ...] = ()) -> RunReport:
    return read_report(samples.cluster(workers, bad=bad).write(folder))


def test_each_group_says_what_was_asked_and_how_it_ended(tmp_path: Path) -> None:
    report = report_of(tmp_path, bad=(1,))
    told = [(one.name, one.desired, one.quorum, one.after, one.verdict) for one in report.groups]
    assert told == [
        ("head", 1, 1, (), Verdict.PASSED),
        ("worker", 3, 3, ("head",), Verdict.PAYLOAD_FAILED),
        ("watcher", 1, 1, ("worker",), None),
    ]
    head, worker, watcher = report.groups
    assert (head.passed, worker.passed) == (1, 2)
    assert (head.checks, worker.checks) == (samples.HEAD_CHECKS, samples.WORKER_CHECKS)
    assert (watcher.waited_for, watcher.message) == ("worker", samples.NOT_DEPLOYED)
    assert worker.cost.nodes == 3
    assert sum(one.cost.usd for one in report.groups) == pytest.approx(report.cost.usd)
    assert [node.group for node in report.nodes] == ["head", "worker", "worker", "worker"]
    assert report.grouped


def test_the_same_step_of_two_groups_at_once_is_two_spans() -> None:
    start = RunStarted(
        at=0.0, run="r", command="cycle", deployment="d", providers=(), digest="", desired=2
    )
    report = build(
        [
            start,
            StepStarted(at=1.0, step="create", group="a"),
            StepStarted(at=2.0, step="create", group="b"),
            StepEnded(at=3.0, step="create", ok=True, group="a"),
            StepEnded(at=5.0, step="create", ok=False, group="b"),
            StepStarted(at=6.0, step="create", group="a"),
        ]
    )
    spans = [(span.group, span.start, span.end, span.ok, span.open) for span in report.steps]
    assert spans == [
        ("a", 1.0, 3.0, True, False),
        ("b", 2.0, 5.0, False, False),
        ("a", 6.0, 6.0, False, True),
    ]


def test_a_group_that_is_deployed_afresh_has_the_verdict_of_the_last_time(tmp_path: Path) -> None:
    sample = samples.cluster(2)
    early = GroupEnded(group="worker", verdict=Verdict.INFRASTRUCTURE_FAILED, detail="lost")
    sample.at(20.0, early)
    assert read_report(sample.write(tmp_path)).groups[1].verdict is Verdict.PASSED
    cut = [event for event in sample.events if event.at < samples.BEGAN + 80.0]
    assert build(sorted(cut, key=lambda event: event.at)).groups[1].verdict is None


def test_what_earlier_versions_wrote_is_still_read(tmp_path: Path) -> None:
    folder = samples.payload_failure(3).write(tmp_path)
    assert write_reports(folder) == []
    data = json.loads((folder / "report.json").read_bytes())
    del data["groups"]
    (folder / "report.json").write_text(json.dumps(data))
    (folder / "events.jsonl").unlink()
    report = read_report(folder)
    assert written_report(folder) == report
    assert (report.groups, report.grouped) == ((), False)
    (section,) = matrix(report)
    assert section.checks == samples.CHECKS
    assert "demo-aws-2" in render(report, folder)
    assert violations(ET.fromstring(junit.render(report))) == []


def test_the_json_says_the_group_of_each_node_and_is_read_back(tmp_path: Path) -> None:
    report = report_of(tmp_path, bad=(1,))
    data = json.loads(encode(report))
    assert [node["group"] for node in data["nodes"]] == ["head", "worker", "worker", "worker"]
    assert [(one["name"], one["wanted"], one["after"]) for one in data["groups"]] == [
        ("head", 1, []),
        ("worker", 3, ["head"]),
        ("watcher", 1, ["worker"]),
    ]
    assert data["groups"][2]["words"] == samples.NOT_DEPLOYED
    assert msgspec.json.decode(encode(report), type=RunReport) == report


def test_a_config_without_groups_looks_as_before(tmp_path: Path) -> None:
    folder = samples.passing(3).write(tmp_path)
    report = read_report(folder)
    page = render(report, folder)
    assert not report.grouped
    assert 'id="groups"' not in page
    assert "group-checks" not in page.partition("</style>")[2]
    names = [suite.get("name") for suite in ET.fromstring(junit.render(report))]
    assert names == ["run", *(f"aws us-west-2b demo-aws-{n}" for n in (1, 2, 3))]


def test_each_group_has_its_own_matrix_folded_when_it_is_large_and_well(tmp_path: Path) -> None:
    head, worker = matrix(report_of(tmp_path / "bad", 60, (3, 17)))
    assert (head.checks, worker.checks) == (samples.HEAD_CHECKS, samples.WORKER_CHECKS)
    assert (head.passed, head.nodes, worker.passed, worker.nodes) == (1, 1, 58, 60)
    (block,) = worker.blocks
    assert [(len(kind.nodes), kind.differs) for kind in block.rows] == [(2, True), (58, False)]
    assert block.rows[0].cells == (BAD, GOOD, GOOD, GOOD)
    assert (head.folded, worker.folded) == (False, False)
    assert [one.folded for one in matrix(report_of(tmp_path / "good", 60))] == [False, True, False]


def test_the_page_has_the_groups_and_what_was_not_deployed(tmp_path: Path) -> None:
    folder = samples.cluster(60, bad=(3, 17)).write(tmp_path)
    page = render(read_report(folder), folder)
    groups = page.partition('id="groups"')[2].partition("</section>")[0]
    assert "not deployed" in groups
    assert samples.NOT_DEPLOYED in groups
    checks = page.partition('id="checks"')[2].partition("</section>")[0]
    assert checks.count('<details class="group-checks" open>') == 2
    assert "58 of 60 passed" in checks
    causes = page.partition('class="causes"')[2].partition("</ul>")[0]
    assert "<b>watcher</b>" in causes


def test_a_large_group_that_passed_is_folded_in_the_page(tmp_path: Path) -> None:
    folder = samples.cluster(60).write(tmp_path)
    checks = render(read_report(folder), folder).partition('id="checks"')[2]
    heads = [part.partition(">")[0] for part in checks.split('<details class="group-checks"')[1:]]
    assert heads == [" open", "", " open"]


def test_the_time_line_shows_what_waited_for_what(tmp_path: Path) -> None:
    drawn = picture(report_of(tmp_path, bad=(1,)))
    well_drawn(drawn)
    labels = [row.label for row in drawn.rows]
    assert labels == [
        *("the run", "head", "demo-4f1c", "worker"),
        *("demo-1b58", "demo-1b59", "demo-1b5a", "watcher"),
    ]
    rows = dict(zip(labels, drawn.rows, strict=True))
    assert [row.label for row in drawn.rows if row.kind == "group"] == ["head", "worker", "watcher"]
    assert rows["head"].rest is None
    waited, step = rows["worker"].rest, rows["worker"].bars[0]
    assert waited is not None
    assert waited[0] + waited[1] == pytest.approx(step.x, abs=0.1)
    assert step.x >= rows["demo-4f1c"].bars[-1].x + rows["demo-4f1c"].bars[-1].width
    assert rows["worker"].note == "waits for head"
    assert (rows["watcher"].note, rows["watcher"].bars) == (samples.NOT_DEPLOYED, ())
    assert [row.tone for row in drawn.rows if row.kind == "group"] == ["good", "bad", "muted"]
    assert [bar.title.split()[0] for bar in drawn.rows[0].bars] == ["plan", "destroy"]


def test_many_nodes_share_lanes_within_their_group(tmp_path: Path) -> None:
    report = report_of(tmp_path, 60, (3, 17))
    drawn = picture(report)
    well_drawn(drawn)
    labels = [row.label for row in drawn.rows]
    assert len(labels) <= ALONE
    assert labels[3:] == ["worker", "demo-1b5b", "demo-1b69", "58 nodes, local", "watcher"]
    thin = thin_picture(report)
    assert thin is not None
    assert len(thin.rows) == 61
    assert drawn.rows[2].title == "demo-4f1c, group head, local"
    assert thin.rows[0].title == "demo-1b5b, group worker, local"


def test_nodes_of_two_groups_that_fail_alike_are_two_findings(tmp_path: Path) -> None:
    sample = samples.cluster(3, bad=(0,))
    sample.node("demo-ffff", "local", bad=("payload",), group="head", start=11.0)
    sample.node("demo-fffe", "local", bad=("payload",), group="worker", start=90.0)
    folder = sample.write(tmp_path)
    found = findings(read_report(folder), folder)
    assert sorted((one.group, one.who) for one in found) == [
        ("head", "head: demo-ffff"),
        ("worker", "worker: demo-1b58"),
        ("worker", "worker: demo-fffe"),
    ]


def test_junit_has_a_suite_for_each_group_and_its_name_in_every_class(tmp_path: Path) -> None:
    root = ET.fromstring(junit.render(report_of(tmp_path, bad=(1,))))
    assert violations(root) == []
    suites = {str(suite.get("name")): suite for suite in root}
    assert list(suites)[:5] == [
        *("run", "group head", "group worker", "group watcher", "head local demo-4f1c"),
    ]
    classes = {case.get("classname") for case in root.iter("testcase")}
    assert {"demo.worker", "demo.worker.local.demo-1b59", "demo.head.local.demo-4f1c"} <= classes
    assert suites["group head"].findall("testcase/*") == []
    assert len(suites["group worker"].findall("testcase/failure")) == 1
    (skipped,) = suites["group watcher"].findall("testcase/skipped")
    assert (skipped.get("type"), skipped.get("message")) == ("not deployed", samples.NOT_DEPLOYED)
    head = [case.get("name") for case in suites["head local demo-4f1c"].findall("testcase")]
    assert [name for name in head if str(name).startswith("check")] == [
        f"check {name}" for name in samples.HEAD_CHECKS
    ]
    values = {
        p.get("name"): p.get("value") for p in suites["head local demo-4f1c"].iter("property")
    }
    assert values["group"] == "head"


def test_github_gets_a_table_for_each_group(tmp_path: Path) -> None:
    folder = samples.cluster(3, bad=(1,)).write(tmp_path)
    report = read_report(folder)
    text = github.summary(report, findings(report, folder))
    assert text.count("<table>") == 2
    assert "<th>worker</th>" in text
    assert f"<p>watcher: {samples.NOT_DEPLOYED}</p>" in text
    (line, *_) = github.annotate(report, findings(report, folder))
    assert "title=payload failed in verify%3A worker%3A demo-1b59" in line


def test_a_difference_names_the_groups(tmp_path: Path) -> None:
    before, after = report_of(tmp_path / "a"), report_of(tmp_path / "b", bad=(0, 1))
    found = compare(before, after)
    assert [(one.group, one.before, one.after) for one in found.groups] == [
        ("worker", "passed", "payload failed"),
        ("watcher", "passed", None),
    ]
    changed = [(one.group, one.check, one.before, one.after) for one in found.checks]
    assert ("worker", samples.WORKER_CHECKS[0], (3, 3), (1, 3)) in changed
    assert all(group != "head" for group, *_ in changed)
    plain = read_report(samples.passing(3).write(tmp_path / "c"))
    assert compare(plain, plain).groups == ()


def test_the_rate_of_a_check_is_that_of_its_group(tmp_path: Path) -> None:
    found = summarize([report_of(tmp_path, bad=(0,))])
    rates = {one.name: (one.good, one.asked) for one in found.checks}
    assert rates["head: payload"] == (1, 1)
    assert rates["worker: payload"] == (3, 3)
    assert rates[f"worker: {samples.WORKER_CHECKS[0]}"] == (2, 3)


def test_a_run_without_a_word_of_groups_is_one(tmp_path: Path) -> None:
    report = read_report(samples.passing(2).write(tmp_path))
    assert {node.group for node in report.nodes} == {DEFAULT_GROUP}
    assert "group" not in json.loads(encode(report))["nodes"][0]
