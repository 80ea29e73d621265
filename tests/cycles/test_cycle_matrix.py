"""A matrix of two by two on real machines."""

from __future__ import annotations

import json

import pytest

from spotdeploy.matrix.report import read_matrix_report
from spotdeploy.report.run_store import find_run, run_folders
from tests.cycles.project import Done, Project

pytestmark = pytest.mark.machines


def deployments(done: Done) -> set[str]:
    return {node["labels"]["spotdeploy-deployment"] for node in done.json()}


def test_each_cell_gets_its_facts_and_fails_by_itself(project: Project) -> None:
    name = project.config["deployment"]
    project.config["matrix"] = {"python": ["3.11", "3.12"], "market": ["spot", "on-demand"]}
    project.config["checks"] = [
        {"type": "command", "command": "grep -qx '3.1[12] [a-z-]*' /opt/facts", "name": "facts"}
    ]
    project.entry(
        "set -eu\n"
        'echo "$SPOTDEPLOY_MATRIX_PYTHON $SPOTDEPLOY_MATRIX_MARKET" | tee /opt/facts\n'
        '[ "$(cat /opt/facts)" != "3.12 on-demand" ]'
    )
    done = project.cycle("--keep", "always", "--json")
    assert done.code == 1, done
    cells = {cell["name"]: cell["report"] for cell in done.json()["cells"]}
    good = {f"{name}-spot-3-11", f"{name}-spot-3-12", f"{name}-on-demand-3-11"}
    assert {one for one, report in cells.items() if report["verdict"] == "passed"} == good
    assert cells.keys() - good == {f"{name}-on-demand-3-12"}
    assert deployments(project.run("list", "--json")) == cells.keys()

    node = f"{name}-spot-3-11-1"
    assert project.run("debug", node).code == 0
    assert project.run("ssh", node, "cat", "/opt/facts").out == "3.11 spot\n"
    assert project.run("verify", "--only", "python=3.11", "--only", "market=on-demand").code == 0
    touched = project.run("verify", "--only", "python=3.11")
    assert touched.code == 1, touched

    project.config["matrix"]["python"] = ["3.12"]
    again = project.cycle("--failed", "--keep", "never")
    assert again.code == 1, again
    assert deployments(project.run("list", "--json")) == good
    assert project.run("destroy", "--only", "python=3.12").code == 0
    assert deployments(project.run("list", "--json")) == good - {f"{name}-spot-3-12"}
    assert project.run("destroy").code == 0
    assert project.run("list", "--json").json() == []

    state = project.folder / ".spotdeploy"
    commands = [read_matrix_report(folder).command for folder in run_folders(state)]
    assert commands == ["cycle", "verify", "verify", "cycle", "destroy", "destroy"]
    assert json.loads((find_run(state) / "report.json").read_bytes())["exit_code"] == 0
