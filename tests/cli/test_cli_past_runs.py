"""`report`, `history`, `diff`, and the options of `cycle` that refuse, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from spotdeploy.state.journal import Journal
from tests.command import run as spotdeploy
from tests.report import samples


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a passed and a failed run behind it."""
    (tmp_path / "spotdeploy.toml").write_text(
        'deployment = "demo"\nproviders = ["fake"]\n[payload]\nentry = "entry.sh"\n'
    )
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    state = tmp_path / ".spotdeploy"
    journal = Journal(state / "journal.db")
    for sample in (samples.passing(3), samples.payload_failure(3)):
        sample.write(state / "runs")
        journal.begin_run(sample.run, "demo", "cycle", "d")
    journal.close()
    return tmp_path


def test_a_run_is_shown_by_the_beginning_of_its_id(project: Path) -> None:
    done = spotdeploy(project, "report", "20251124-16")
    assert done.returncode == 0, done
    assert "PASSED: all 3 nodes are healthy" in done.stdout
    assert "report.html" in done.stdout


def test_the_last_run_is_shown_as_data(project: Path) -> None:
    done = spotdeploy(project, "report", "--json")
    assert json.loads(done.stdout)["verdict"] == "payload failed"


def test_history_and_diff_speak_of_both(project: Path) -> None:
    history = spotdeploy(project, "history", "--json")
    assert [line["run"] for line in json.loads(history.stdout)] == [
        "20251124-170000-bad000",
        "20251124-160000-abc123",
    ]
    one = spotdeploy(project, "history", "-n", "1")
    assert len(one.stdout.splitlines()) == 2
    diff = spotdeploy(project, "diff", "20251124-16")
    assert diff.returncode == 0, diff
    assert f"check {samples.CHECKS[1]}: 3/3 ok -> 1/2 ok" in diff.stdout


def test_a_run_that_is_not_there_is_one_line_and_a_hint(project: Path) -> None:
    done = spotdeploy(project, "report", "1999")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: no run '1999'"


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--json", "--events", "-"), "would both write"), (("--repeat", "2", "--watch"), "exclude")],
)
def test_options_that_exclude_each_other_are_refused(
    project: Path, options: tuple[str, ...], message: str
) -> None:
    done = spotdeploy(project, "cycle", *options)
    assert done.returncode == 2, done
    assert message in done.stderr


def test_the_schema_of_events_is_printed(project: Path) -> None:
    schema = json.loads(spotdeploy(project, "schema", "--events").stdout)
    assert "run-ended" in json.dumps(schema)


def test_a_cycle_over_its_limit_is_refused_and_reported(project: Path) -> None:
    config = project / "spotdeploy.toml"
    config.write_text("max_cost = 0.01\n" + config.read_text() + "[provider.fake]\nprices = {}\n")
    done = spotdeploy(project, "cycle")
    assert done.returncode == 2, done
    assert "max_cost is $0.0100, but no price of fake is known" in done.stderr
    assert "nodes.max_price" in done.stderr
    shown = spotdeploy(project, "report")
    assert "REFUSED" in shown.stdout


def test_a_refused_run_is_data_too_and_the_reason_stays_on_standard_error(project: Path) -> None:
    config = project / "spotdeploy.toml"
    config.write_text("max_cost = 0.01\n" + config.read_text() + "[provider.fake]\nprices = {}\n")
    done = spotdeploy(project, "cycle", "--json")
    assert done.returncode == 2, done
    report = json.loads(done.stdout)
    assert (report["verdict"], report["exit_code"], report["nodes"]) == ("refused", 2, [])
    assert "max_cost is $0.0100" in report["words"]
    assert "error: max_cost is $0.0100" in done.stderr


def test_a_run_that_never_began_prints_no_data(project: Path) -> None:
    (project / "spotdeploy.toml").write_text("deployment = 3\n")
    done = spotdeploy(project, "cycle", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


def test_what_a_run_prints_as_data_keeps_the_schema(project: Path) -> None:
    schema = json.loads(spotdeploy(project, "schema", "--report").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    for command in ("report", "destroy"):
        data = json.loads(spotdeploy(project, command, "--json").stdout)
        jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "nodes": [{"verdict": 3}]}, schema)


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("history",)])
def test_quick_commands_import_none_of_what_reports_need(
    project: Path, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "spotdeploy", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr[-500:]
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert not imported & {"jinja2", "junitparser", "watchfiles", "rich"}
