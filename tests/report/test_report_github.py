"""What GitHub Actions is told."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import yaml

from spotdeploy.events import Note
from spotdeploy.model import Verdict
from spotdeploy.report import github
from spotdeploy.report.html.findings import findings
from spotdeploy.report.model import build
from spotdeploy.report.run_store import read_report
from spotdeploy.run.verdict import Outcome, Receipt
from tests.report import samples

COMMAND = re.compile(r"::(error|warning) title=[^:,\n]*::[^\n]*")


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.add(tag)


def reported(sample: samples.Sample, folder: Path, environment: dict[str, str]) -> str:
    written = sample.write(folder)
    report = read_report(written)
    stream = io.StringIO()
    github.tell(report, written, stream, environment)
    return stream.getvalue()


def test_elsewhere_nothing_is_told(tmp_path: Path) -> None:
    assert not github.asked({})
    assert reported(samples.payload_failure(), tmp_path, {}) == ""


def test_each_kind_of_failure_is_one_annotation(tmp_path: Path) -> None:
    sample = samples.payload_failure(100, ("aws", "gcp", "azure"))
    out = reported(sample, tmp_path, {"GITHUB_ACTIONS": "true"})
    lines = out.splitlines()
    assert len(lines) == 2
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert lines[0].startswith("::error title=payload failed in verify%3A 12 nodes::")


def test_a_run_that_failed_as_a_whole_is_an_annotation_and_warnings_are_too() -> None:
    sample = samples.Sample()
    sample.begin(1)
    sample.at(1, Note(text="50% of a: b, c\nsecond line", warning=True))
    sample.end(Verdict.REFUSED, 3, "no capacity")
    error, warning = github.annotate(build(sample.events), ())
    assert error == "::error title=refused::no capacity"
    assert warning == "::warning title=spotdeploy::50%25 of a: b, c%0Asecond line"


def test_tests_that_failed_before_are_one_annotation_and_a_part_of_the_summary(
    tmp_path: Path,
) -> None:
    summary = tmp_path / "summary.md"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    out = reported(samples.failed_before(), tmp_path / "runs", environment)
    assert out == "::error title=tests failed::pytest -q ended%3A 2\n".replace("%3A", ":")
    text = summary.read_text()
    assert text.startswith("### Tests failed: cycle of demo\n")
    assert "<summary>pytest   -q ...: ended: 2</summary>" in text
    assert "a &lt;b&gt;" in text
    assert "<p>Not run: <code>mypy</code> (pytest failed)</p>" in text


def test_a_passing_run_is_summarised_and_not_annotated(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("earlier\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    assert github.asked(environment)
    assert reported(samples.passing(3, ("aws", "gcp")), tmp_path / "runs", environment) == ""
    text = summary.read_text()
    assert text.startswith("earlier\n### Passed: cycle of demo\n")
    assert "6 of 6 nodes passed" in text
    assert text.count("✅ 3/3") == 2 * len(samples.CHECKS)


def test_what_nodes_say_is_neither_markup_nor_markdown_nor_a_command(tmp_path: Path) -> None:
    evil = "x\n\n# big\n::set-output name=a::b\n<img src=x> **bold**"
    sample = samples.Sample()
    sample.begin(1)
    sample.node("demo-1", stop_in="deploy", message=evil)
    sample.end(Verdict.PAYLOAD_FAILED, 1, evil)
    summary = tmp_path / "summary.md"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    out = reported(sample, tmp_path / "runs", environment)
    assert [line for line in out.splitlines() if not line.startswith("::error ")] == []
    text = summary.read_text()
    assert "img" not in _Tags(text).tags
    assert not [line for line in text.splitlines() if line.startswith(("# ", "::", "<img"))]


def test_a_summary_stays_below_what_github_takes(tmp_path: Path) -> None:
    sample = samples.Sample()
    sample.begin(300)
    for index in range(300):
        sample.node(f"demo-{index}", stop_in="deploy", message=f"{index} " + "é" * 3000)
    sample.end(Verdict.PAYLOAD_FAILED, 1)
    report = build(sample.events)
    text = github.summary(report, findings(report, tmp_path))
    assert len(text.encode()) <= github.SIZE + 1


def test_commands_are_off_while_nodes_are_quoted() -> None:
    stream = io.StringIO()
    with github.quoting(stream, {"GITHUB_ACTIONS": "true"}):
        stream.write("::add-mask::x\n")
    first, middle, last = stream.getvalue().splitlines()
    word = first.removeprefix("::stop-commands::")
    assert len(word) == 32
    assert (middle, last) == ("::add-mask::x", f"::{word}::")
    with github.quoting(stream := io.StringIO(), {}):
        pass
    assert stream.getvalue() == ""


def test_the_example_workflow_is_a_workflow_that_runs_the_local_provider(repository: Path) -> None:
    workflow = yaml.safe_load((repository / "docs/examples/github-actions.yml").read_text())
    steps = workflow["jobs"]["cycle"]["steps"]
    runs = " ".join(step.get("run", "") for step in steps)
    assert "spotdeploy cycle --provider local" in runs
    makefile = (repository / "Makefile").read_text()
    (packages,) = re.findall(r"^RUN_PACKAGES := (.*)$", makefile, re.MULTILINE)
    assert set(packages.split()) - {"python3"} <= set(runs.split())


def test_every_step_of_the_example_is_a_command_that_there_is(repository: Path) -> None:
    workflow = yaml.safe_load((repository / "docs/examples/github-actions.yml").read_text())
    assert set(workflow) == {"name", True, "permissions", "concurrency", "jobs"}  # YAML's on: true
    ours = 0
    for step in workflow["jobs"]["cycle"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        script = step.get("run", "")
        subprocess.run(["bash", "-n", "-c", script], check=True)
        for command, options in re.findall(r"bin/spotdeploy (\w+)([^\n]*)", script):
            shown = subprocess.run(
                [sys.executable, "-m", "spotdeploy", command, "--help"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            given = re.findall(r"--[a-z-]+", options)
            assert given
            assert [option for option in given if option not in shown] == []
            ours += 1
    assert ours == 2


def test_what_is_left_is_told_in_whole_lines_however_much_it_is() -> None:
    sample = samples.payload_failure(3)
    left = tuple(f"disk d-{number}; by hand: delete disk number {number}" for number in range(9000))
    outcome = Outcome("r", "demo", Verdict.LEAKED, receipts=(Receipt(left=left),))
    report = build(sample.events, outcome)
    for text in (github.annotate(report, ())[0], github.summary(report, ())):
        lines = re.split("%0A|&#10;|<pre>|</pre>", text)
        told = [line for line in lines if line.startswith("disk ")]
        assert 20 < len(told) < 9000
        assert set(told) <= set(left)
        assert f"and {9000 - len(told)} more, in report.html" in lines
