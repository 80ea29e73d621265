"""Groups in what commands print: `list`, `history`, `report`, `diff`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from spotdeploy import labels
from spotdeploy.cli.tables import show_nodes
from spotdeploy.model import Node, NodeState
from spotdeploy.report.writer import write_reports
from spotdeploy.state.journal import Journal
from tests.command import run as spotdeploy
from tests.report import samples

CLUSTER = """
deployment = "shop"
providers = ["fake"]
keep = "always"
[payload]
entry = "entry.sh"
[timeouts]
boot = "1s"
[groups.worker]
count = 2
after = ["head"]
[groups.head]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "spotdeploy.toml").write_text(CLUSTER)
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    return tmp_path


def node(name: str, group: str | None) -> Node:
    marks = {labels.GROUP: group} if group else {}
    return Node(name, name, "fake", "here", NodeState.RUNNING, labels=marks)


def test_list_has_a_column_for_groups_and_marks_what_the_config_names_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = [node("shop-1", "head"), node("shop-2", "worker"), node("shop-3", None)]
    show_nodes(nodes, ["head", "watcher"], as_json=False, now=0.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["NODE", "GROUP", "PROVIDER"]
    assert lines[1].split()[:3] == ["shop-1", "head", "fake"]
    assert lines[2].startswith("shop-2  worker (not in the config)  fake")
    assert lines[3].startswith("shop-3  nodes (not in the config)   fake")


def test_list_of_a_config_without_groups_has_no_such_column_but_json_says_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_nodes([node("shop-1", "nodes"), node("shop-2", None)], ["nodes"], as_json=False)
    assert "GROUP" not in capsys.readouterr().out
    show_nodes([node("shop-1", "nodes"), node("shop-2", None)], ["nodes"], as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert [one["group"] for one in data] == ["nodes", "nodes"]
    assert data[0]["labels"] == {labels.GROUP: "nodes"}


def test_a_cycle_whose_first_group_fails_is_told_by_group_everywhere(project: Path) -> None:
    done = spotdeploy(project, "cycle")
    assert done.returncode == 3, done
    assert "  group worker: not deployed, since head did not pass" in done.stdout
    report = json.loads(spotdeploy(project, "report", "--json").stdout)
    assert [(one["name"], one["verdict"], one["waited_for"]) for one in report["groups"]] == [
        ("head", "infrastructure failed", ""),
        ("worker", None, "head"),
    ]
    assert [one["group"] for one in report["nodes"]] == ["head"]
    assert [(one["name"], one["group"]) for one in report["steps"] if "group" in one] == [
        ("create", "head")
    ]
    schema = json.loads(spotdeploy(project, "schema", "--report").stdout)
    jsonschema.validate(report, schema)
    listed = spotdeploy(project, "list").stdout.splitlines()
    assert listed[0].split()[1] == "GROUP"
    assert listed[1].split()[1] == "head"
    history = spotdeploy(project, "history").stdout.splitlines()
    assert history[0].endswith("GROUPS")
    assert history[1].endswith("head 0/1, worker 0/2")
    told = spotdeploy(project, "report").stdout
    assert "GROUP   VERDICT                PASSED  AFTER  COST" in told
    assert "worker  not deployed           0/2     head   nothing" in told


def test_history_report_and_diff_speak_of_past_groups(project: Path) -> None:
    state = project / ".spotdeploy"
    journal = Journal(state / "journal.db")
    for sample in (samples.cluster(3), samples.cluster(3, bad=(1,), run="20251124-200000-bad")):
        assert write_reports(sample.write(state / "runs")) == []
        journal.begin_run(sample.run, "shop", "cycle", "d")
    journal.close()
    (newest, oldest) = json.loads(spotdeploy(project, "history", "--json").stdout)
    assert [one["verdict"] for one in newest["groups"]] == ["passed", "payload failed", None]
    assert [one["passed"] for one in oldest["groups"]] == [1, 3, 1]
    told = spotdeploy(project, "diff", "20251124-19").stdout
    assert "  worker: passed -> payload failed\n" in told
    assert "  watcher: passed -> no verdict\n" in told
    assert f"  worker: local: check {samples.WORKER_CHECKS[0]}: 3/3 ok -> 2/3 ok\n" in told
