"""What stands after a cycle, handed to other programs, which reach it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines
URL = "http://{orchestrator[0].address}:1234"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.opened(tmp_path / "my 50% projects", "handed-on") as project:
        project.config |= {
            "providers": ["local"],
            "keep": "always",
            "outputs": {"url": URL, "second": "{worker[1].private_address}"},
            "groups": {
                "worker": {"count": 2, "after": ["orchestrator"]},
                "orchestrator": {"count": 1},
            },
        }
        yield project


def test_other_programs_reach_the_nodes_that_a_cycle_left(project: Project, tmp_path: Path) -> None:
    project.entry('cp /opt/spotdeploy/nodes.json /opt/uploaded_files/ 2>/dev/null; echo "done"')
    done = project.cycle("--json")
    assert done.code == 0, done
    outputs = done.json()["outputs"]
    exported = project.run("export").json()
    head = exported["groups"]["orchestrator"][0]
    assert outputs["url"] == f"http://{head['address']}:1234"
    assert exported["outputs"] == outputs
    assert f"url: {outputs['url']}" in done.err
    assert f"url: {outputs['url']}" in project.run("list").out
    assert f"url: {outputs['url']}" in project.run("report").out
    (page,) = (project.folder / ".spotdeploy" / "runs").glob("*/report.html")
    assert f'<a href="{outputs["url"]}"' in page.read_text()
    config = tmp_path / "ssh_config"
    assert project.run("export", "-f", "ssh-config", "-o", str(config)).code == 0
    for node in exported["groups"]["worker"]:
        told = ssh(config, node["name"], "cat /opt/spotdeploy/nodes.json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["index"] == node["index"], "exported under another index"
    shell = project.run("ssh", exported["groups"]["worker"][0]["name"], "--", "true")
    assert shell.code == 0, shell
    assert ssh(config, head["name"], "true").returncode == 0, "'spotdeploy ssh' lost the others"
    pins = Path(exported["known_hosts_file"])
    pins.write_text(pins.read_text().replace(" ssh-ed25519 AAAA", " ssh-ed25519 AAAB"))
    assert ssh(config, head["name"], "true").returncode != 0, "no pin, and it went in"
    refused = project.run("access", "export", "file")
    assert refused.code == 2
    assert "only this computer reaches" in refused.err
    assert not (project.folder / "file").exists()


def ssh(config: Path, node: str, command: str) -> subprocess.CompletedProcess[str]:
    line = ["ssh", "-F", str(config), "-o", "BatchMode=yes", node, command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
