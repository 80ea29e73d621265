"""Outputs in what is written and shown of a run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spotdeploy.cli.report import show_report
from spotdeploy.cli.screen import summary
from spotdeploy.model import Node, NodeState, Verdict
from spotdeploy.report.model import build, encode
from spotdeploy.report.run_store import read_report
from spotdeploy.report.writer import html_page, write_reports
from spotdeploy.run.verdict import Outcome
from tests.report import samples

OUTPUTS = {
    "api": "http://192.0.2.1:1234/?a=1&b=<b>",
    "script": "javascript:alert(1)",
    "later": None,
}
KEPT = (Node("i-1", "demo-1", "aws", "us-west-2", NodeState.RUNNING),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that passed and kept a node."""
    sample = samples.passing(1)
    folder = sample.write(tmp_path / "runs")
    outcome = Outcome(sample.run, "demo", Verdict.PASSED, kept=KEPT, outputs=OUTPUTS)
    assert write_reports(folder, outcome) == []
    return folder


def test_report_json_has_them_and_a_report_that_is_written_again_keeps_them(folder: Path) -> None:
    data = msgspec.json.decode((folder / "report.json").read_bytes())
    assert data["outputs"] == OUTPUTS
    assert write_reports(folder) == []
    assert read_report(folder).outputs == OUTPUTS


def test_the_page_links_addresses_and_nothing_else(folder: Path) -> None:
    page = html_page(read_report(folder), folder).decode()
    assert '<a href="http://192.0.2.1:1234/?a=1&amp;b=&lt;b&gt;" rel="noopener noreferrer">' in page
    assert 'href="javascript' not in page
    assert "<code>javascript:alert(1)</code>" in page
    assert "<dt>later</dt><dd>not known</dd>" in page


def test_a_run_without_outputs_has_no_place_for_them(tmp_path: Path) -> None:
    sample = samples.passing(1)
    folder = sample.write(tmp_path)
    report = build(sample.events)
    assert 'class="outputs"' not in html_page(report, folder).decode()
    assert msgspec.json.decode(encode(report))["outputs"] == {}


def test_screens_have_a_line_for_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["  api: http://192.0.2.1:1234/?a=1&b=<b>", "  later: not known"]
    outcome = Outcome("run", "demo", Verdict.PASSED, kept=KEPT, outputs=OUTPUTS)
    told = summary(outcome).splitlines()
    assert [line for line in told if line in lines] == lines
    show_report(folder, as_json=False)
    assert [line for line in capsys.readouterr().out.splitlines() if line in lines] == lines


def test_the_hint_after_another_deployments_run_ends_that_one() -> None:
    outcome = Outcome("run", "ci-7", Verdict.PASSED, kept=KEPT)
    told = summary(outcome, "spotdeploy destroy --deployment ci-7")
    assert "end with 'spotdeploy destroy --deployment ci-7'" in told
