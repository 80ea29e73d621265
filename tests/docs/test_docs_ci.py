"""Workflows, ours and the documented one: pinned, and stopped in a way that leaves nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml


def steps(workflow: Path) -> list[str]:
    return re.split(r"^ +- (?=name:|uses:|run:)", workflow.read_text("utf-8"), flags=re.MULTILINE)


def test_every_action_is_pinned_by_commit_with_its_version(repository: Path) -> None:
    workflows = [
        *repository.glob(".github/workflows/*.yml"),
        *repository.glob("docs/examples/*.yml"),
        repository / "action.yml",
    ]
    used = [
        line
        for workflow in workflows
        for line in workflow.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert used
    for line in used:
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_the_documented_workflow_hears_of_a_cancelled_job_and_cleans_up(repository: Path) -> None:
    found = steps(repository / "docs/examples/github-actions.yml")
    (cycle,) = [step for step in found if "spotdeploy cycle" in step]
    (destroy,) = [step for step in found if "spotdeploy destroy" in step]
    assert re.search(r"run: >-\s+exec ", cycle)
    assert "if: always()" in destroy
    assert found.index(cycle) < found.index(destroy)


def test_the_documented_job_of_gitlab_hears_of_it_and_cleans_up(repository: Path) -> None:
    job = yaml.safe_load((repository / "docs/examples/gitlab-ci.yml").read_text())["spotdeploy"]
    assert job["script"][-1].startswith("exec ")
    (destroy,) = job["after_script"]
    assert " destroy " in destroy
    assert job["resource_group"]


ACTION_SCRIPTS = [
    step["run"]
    for step in yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())["runs"][
        "steps"
    ]
    if "run" in step
]


@pytest.mark.parametrize("script", ACTION_SCRIPTS)
def test_a_script_of_the_action_is_of_good_syntax_and_takes_no_text_from_outside(
    script: str,
) -> None:
    subprocess.run(["bash", "-n", "-c", script], check=True)
    assert "${{" not in script


def test_the_action_runs_the_command_in_place_of_its_shell(tmp_path: Path) -> None:
    (script,) = (one for one in ACTION_SCRIPTS if "exec" in one)
    program = tmp_path / "spotdeploy" / "bin" / "spotdeploy"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$$ $# $*"\n')
    program.chmod(0o755)
    variables = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "COMMAND": "cycle",
        "ARGUMENTS": "--provider aws  --keep $(touch oops)",
        "LOCAL": "false",
    }
    process = subprocess.Popen(
        ["bash", "-e", "-c", script], env=variables, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate(timeout=60)
    assert out == f"{process.pid} 6 cycle --provider aws --keep $(touch oops)\n"
    assert not (tmp_path / "oops").exists()
