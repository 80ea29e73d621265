"""Past runs: shown, listed, compared, and many of them together."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.cli.diff import show_difference
from spotdeploy.cli.history import show_history
from spotdeploy.cli.repeat import show_repetition
from spotdeploy.cli.report import show_report
from spotdeploy.errors import HostError
from spotdeploy.events import NodeCreated
from spotdeploy.report.compare import compare
from spotdeploy.report.event_log import JUNIT, PAGE, REPORT
from spotdeploy.report.model import RunReport, build
from spotdeploy.report.repetition import percentiles, rate, summarize
from spotdeploy.report.writer import write_reports
from spotdeploy.state.journal import Journal
from tests.report import samples

Out = pytest.CaptureFixture[str]


def report(sample: samples.Sample) -> RunReport:
    return build(sorted(sample.events, key=lambda event: event.at))


def slower(before: RunReport, phase: str, factor: float) -> RunReport:
    nodes = tuple(
        msgspec.structs.replace(node, seconds={**node.seconds, phase: node.seconds[phase] * factor})
        for node in before.nodes
    )
    return msgspec.structs.replace(before, nodes=nodes)


def test_a_report_is_a_summary_and_the_files(tmp_path: Path, capsys: Out) -> None:
    folder = samples.payload_failure().write(tmp_path)
    assert write_reports(folder) == []
    show_report(folder, as_json=False)
    out = capsys.readouterr().out
    assert "PAYLOAD FAILED" in out
    assert "demo-aws-3: the entry exited with 7" in out
    assert str(folder / PAGE) in out


def test_a_run_over_several_clouds_has_checks_by_providers(tmp_path: Path, capsys: Out) -> None:
    show_report(samples.payload_failure(30, ("aws", "gcp")).write(tmp_path), as_json=False)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["CHECK", "aws", "gcp"] in rows
    assert [*samples.CHECKS[1].split(), "28/29", "28/29"] in rows


def test_the_reports_of_a_killed_run_are_written_when_asked_for(
    tmp_path: Path, capsys: Out
) -> None:
    sample = samples.Sample()
    sample.begin(1)
    folder = sample.write(tmp_path)
    show_report(folder, as_json=True)
    assert json.loads(capsys.readouterr().out)["verdict"] == "unfinished"
    assert {path.name for path in folder.iterdir()} >= {PAGE, JUNIT, REPORT}


def test_a_node_without_a_verdict_is_unfinished_and_no_failure_of_no_reason(
    tmp_path: Path, capsys: Out
) -> None:
    sample = samples.Sample()
    sample.begin(1)
    created = NodeCreated(
        node="i-1",
        name="demo-1",
        provider="aws",
        location="us-west-2",
        zone=None,
        size="t3.small",
        market="spot",
    )
    sample.at(2.0, created)
    show_report(sample.write(tmp_path), as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if "demo-1" in line]
    assert [line.split() for line in lines] == [
        ["demo-1", "aws", "us-west-2", "unfinished", "create", "-", "0s"]
    ]


def test_copies_go_where_the_user_wants_them(tmp_path: Path, capsys: Out) -> None:
    folder = samples.passing().write(tmp_path / "runs")
    html, junit = tmp_path / "page.html", tmp_path / "results.xml"
    assert show_report(folder, as_json=False, html=html, junit=junit) == html
    assert html.read_text().startswith("<!doctype html>")
    assert junit.read_text().startswith("<testsuites>")
    with pytest.raises(HostError, match="cannot write"):
        show_report(folder, as_json=False, html=tmp_path / "no" / "such" / "page.html")
    capsys.readouterr()


def test_history_lists_runs_newest_first_with_what_is_known(tmp_path: Path, capsys: Out) -> None:
    ids = ("20251124-100000-aaaaaa", "20251125-100000-bbbbbb")
    journal = Journal(tmp_path / "journal.db", now=lambda: samples.BEGAN)
    for run in ids:
        journal.begin_run(run, "demo", "cycle", "d")
    journal.end_run(ids[0], "passed", 0)
    write_reports(samples.passing(3, run=ids[0]).write(tmp_path / "runs"))
    show_history(tmp_path, journal.runs("demo"), as_json=False)
    header, killed, passed = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["RUN", "BEGAN"]
    assert killed.startswith(ids[1])
    assert "unfinished" in killed
    assert passed.split()[3:7] == ["cycle", "aws", "passed", "3/3"]
    show_history(tmp_path, journal.runs("demo"), as_json=True)
    assert [line["passed"] for line in json.loads(capsys.readouterr().out)] == [None, 3]
    show_history(tmp_path, [], as_json=False)
    assert capsys.readouterr().out == "no runs\n"
    journal.close()


def test_nothing_differs_between_a_run_and_itself(capsys: Out) -> None:
    same = report(samples.passing())
    difference = compare(same, same)
    assert (difference.checks, difference.phases) == ((), ())
    show_difference(difference, as_json=False)
    assert "every check and every phase as before" in capsys.readouterr().out


def test_checks_that_changed_are_told_with_their_provider(capsys: Out) -> None:
    before = report(samples.passing(100, ("aws", "gcp")))
    after = report(samples.payload_failure(100, ("aws", "gcp")))
    difference = compare(before, after)
    assert difference.verdicts == ("passed", "payload failed")
    assert [(c.provider, c.check, c.before, c.after) for c in difference.checks] == [
        (provider, samples.CHECKS[1], (100, 100), (95, 99)) for provider in ("aws", "gcp")
    ]
    show_difference(difference, as_json=False)
    out = capsys.readouterr().out
    assert "verdict: passed -> payload failed" in out
    assert f"aws: check {samples.CHECKS[1]}: 100/100 ok -> 95/99 ok" in out


def test_a_slower_phase_is_told_and_noise_is_not(capsys: Out) -> None:
    before = report(samples.passing(3))
    difference = compare(before, slower(slower(before, "boot", 2.0), "deploy", 1.1))
    assert [(change.phase, change.slower) for change in difference.phases] == [("boot", True)]
    show_difference(difference, as_json=False)
    assert "aws: boot slower" in capsys.readouterr().out
    show_difference(difference, as_json=True)
    assert json.loads(capsys.readouterr().out)["phases"][0]["phase"] == "boot"


def test_a_check_that_was_not_asked_before_is_a_change() -> None:
    before = samples.passing(1)
    before.events = [e for e in before.events if getattr(e, "check", "") != "rebooted"]
    (change,) = compare(report(before), report(samples.passing(1))).checks
    assert (change.before, change.after) == (None, (1, 1))


def test_many_cycles_have_a_rate_for_each_check_and_percentiles(capsys: Out) -> None:
    reports = [report(make(30)) for make in (samples.passing, samples.payload_failure)]
    together = summarize(reports)
    assert (together.cycles.good, together.cycles.asked, together.cycles.flake) == (1, 2, 1.0)
    rates = {check.name: (check.good, check.asked) for check in together.checks}
    assert rates[samples.CHECKS[1]] == (58, 59)
    assert together.boot is not None
    assert together.boot.count == 60
    assert together.boot.p50 <= together.boot.p90 <= together.boot.longest
    stream = io.StringIO()
    show_repetition(together, stream, as_json=False)
    assert "98%" in stream.getvalue()
    show_repetition(together, stream, as_json=True)
    assert json.loads(capsys.readouterr().out)["cycles"]["flake"] == 1.0


@pytest.mark.parametrize(("good", "flake"), [(0, 0.0), (10, 0.0), (5, 1.0), (9, 0.2)])
def test_what_always_ends_alike_is_steady_and_a_coin_toss_is_not(good: int, flake: float) -> None:
    assert rate("x", [True] * good + [False] * (10 - good)).flake == pytest.approx(flake)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_percentiles_are_in_order_and_within_what_was_seen(seconds: list[float]) -> None:
    found = percentiles(seconds)
    assert found is not None
    low, high = min(seconds) - 0.001, max(seconds) + 0.001
    assert low <= found.p50 <= found.p90 + 0.001
    assert found.p90 <= found.longest + 0.001 <= high + 0.001


def test_without_times_there_are_no_percentiles() -> None:
    assert percentiles([]) is None
