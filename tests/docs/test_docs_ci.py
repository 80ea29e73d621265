"""Workflows, ours and the documented one: pinned, and stopped in a way that leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path


def steps(workflow: Path) -> list[str]:
    return re.split(r"^ +- (?=name:|uses:|run:)", workflow.read_text("utf-8"), flags=re.MULTILINE)


def test_every_action_is_pinned_by_commit_with_its_version(repository: Path) -> None:
    workflows = [
        *repository.glob(".github/workflows/*.yml"),
        *repository.glob("docs/examples/*.yml"),
    ]
    used = [
        line
        for workflow in workflows
        for line in workflow.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert used
    for line in used:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_the_documented_workflow_hears_of_a_cancelled_job_and_cleans_up(repository: Path) -> None:
    found = steps(repository / "docs/examples/github-actions.yml")
    (cycle,) = [step for step in found if "spotdeploy cycle" in step]
    (destroy,) = [step for step in found if "spotdeploy destroy" in step]
    assert re.search(r"run: >-\s+exec ", cycle)
    assert "if: always()" in destroy
    assert found.index(cycle) < found.index(destroy)
