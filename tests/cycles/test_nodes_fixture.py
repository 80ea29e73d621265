"""The fixture `spotdeploy_nodes`, used by a project's own tests on real machines."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines

TESTS = """
def test_each_node_answers(spotdeploy_nodes):
    assert [one.node.state for one in spotdeploy_nodes] == ["running", "running"]
    for one in spotdeploy_nodes:
        assert one.run(["cat", "/opt/answer"]).stdout == "42\\n"


def test_they_are_the_same_for_every_test(spotdeploy_nodes):
    assert spotdeploy_nodes[0].run(["true"]).exit_code == 0
"""


def run(project: Project, *options: str) -> subprocess.CompletedProcess[str]:
    project.write()
    (project.folder / "test_nodes.py").write_text(TESTS)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_nodes.py"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )


def test_the_nodes_are_verified_and_destroyed_at_the_end(project: Project) -> None:
    project.config["nodes"]["count"] = 2
    project.entry("echo 42 > /opt/answer")
    done = run(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert project.nodes() == []


def test_nodes_that_do_not_pass_are_an_error_of_each_test_and_gone(project: Project) -> None:
    project.entry("echo no luck; exit 3")
    done = run(project, "--spotdeploy-config", "spotdeploy.toml")
    assert done.returncode == 1, done.stdout
    assert "NotVerifiedError: payload failed" in done.stdout
    assert project.nodes() == []
