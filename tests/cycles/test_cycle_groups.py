"""Groups on real machines: the example cluster of the docs, whole and with a mistake in it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines


@pytest.fixture
def cluster(project: Project, repository: Path) -> Project:
    """The example, under the deployment name of the test."""
    example = repository / "docs/examples/cluster"
    shutil.copytree(example / "payload", project.folder / "payload")
    config = tomllib.loads((example / "spotdeploy.toml").read_text("utf-8"))
    project.config = {**config, "deployment": project.config["deployment"], "keep": "never"}
    return project


def test_workers_register_with_an_orchestrator_that_passed_before_they_were_made(
    cluster: Project,
) -> None:
    cluster.config["groups"]["worker"]["checks"].append(
        {
            "type": "command",
            "command": ["cat", "/opt/spotdeploy/nodes.json"],
            "matches": '"host_key": "SHA256:',
        }
    )
    done = cluster.cycle()
    assert done.code == 0, done
    assert "PASSED: orchestrator: 1 node is healthy; worker: all 2 nodes are healthy" in done.out
    assert done.out.index("1: passed") < done.out.index("Creating worker")


def test_a_worker_that_cannot_register_fails_its_group_alone(cluster: Project) -> None:
    worker = cluster.config["groups"]["worker"]
    (asked,) = [check for check in worker["checks"] if check["type"] == "http"]
    asked |= {"json": {"registered": 3}, "within": "5s"}
    worker["payload"]["reboot"] = False
    del cluster.config["nodes"]["open_between"]
    worker["open_between"] = [8081]
    cluster.config["groups"]["orchestrator"]["open_between"] = [8080]
    cluster.config["groups"]["orchestrator"]["payload"]["reboot"] = False
    done = cluster.cycle()
    assert done.code == 1, done
    assert "PAYLOAD FAILED: worker: " in done.out
    assert "registered is 2, not 3" in done.out
