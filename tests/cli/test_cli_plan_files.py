"""`spotdeploy plan`: what is shipped, and what is doubtful of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spotdeploy.payload.manifest import read_manifest
from spotdeploy.phases.findings import of_payload
from spotdeploy.project import Project
from tests.command import run

CONFIG = """
deployment = "files"
providers = ["fake"]
[payload]
path = "app"
entry = "run.sh"
upload = ["bin"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app/conf").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    (tmp_path / "app/run.sh").write_text("true\n")
    (tmp_path / "app/current").symlink_to("conf")
    (tmp_path / "bin/tool").write_text("#!/bin/sh\n")
    (tmp_path / "bin/tool").chmod(0o700)
    return tmp_path


def plan(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "plan", *arguments)


def test_every_path_is_listed_with_mode_and_size_and_the_total(folder: Path) -> None:
    done = plan(folder, "--files")
    digest = read_manifest(Project.open(folder / "spotdeploy.toml").settings).digest
    assert done.stdout.splitlines() == [
        "MODE  BYTES  PATH",
        "0755  -      payload/conf/",
        "0777  -      payload/current -> conf",
        "0644  5      payload/run.sh",
        "0700  10     uploaded_files/tool",
        f"2 files, 15 bytes, digest {digest[:12]}",
    ]
    data = json.loads(plan(folder, "--files", "--json").stdout)
    assert (data["digest"], data["bytes"]) == (digest, 15)
    assert data["entries"][1:3] == [
        {"path": "payload/current", "kind": "link", "mode": "0777", "bytes": 0, "target": "conf"},
        {"path": "payload/run.sh", "kind": "file", "mode": "0644", "bytes": 5},
    ]


def doubts(folder: Path) -> list[str]:
    project = Project.open(folder / "spotdeploy.toml")
    found = list(of_payload(project, read_manifest(project.settings)))
    assert not any(problem.fatal for problem in found)
    return [problem.what for problem in found]


def test_folders_made_for_this_computer_are_doubted_once_each_and_shown_by_plan(
    folder: Path,
) -> None:
    assert doubts(folder) == []
    (folder / "app/web/node_modules/a/node_modules").mkdir(parents=True)
    (folder / "bin/env/lib").mkdir(parents=True)
    (folder / "bin/env/pyvenv.cfg").touch()
    why = "is shipped, and what is in it was made for this computer"
    assert doubts(folder) == [
        f"payload/web/node_modules {why}",
        f"uploaded_files/env {why}",
    ]
    assert "put 'node_modules/' into .spotdeployignore" in plan(folder).stdout
    (folder / ".spotdeployignore").write_text("node_modules/\nenv/\n")
    assert doubts(folder) == []


def test_private_files_of_the_payload_are_doubted_unless_the_umask_made_them_so(
    folder: Path,
) -> None:
    (folder / "app/key").touch(mode=0o600)
    (folder / "app/conf").chmod(0o700)
    (one,) = doubts(folder)
    assert one.startswith(f"{folder}/app/conf and 1 more can be read by its owner alone here")
    (folder / "app").chmod(0o700)
    assert doubts(folder) == []
    (folder / "app").chmod(0o755)
    with (folder / "spotdeploy.toml").open("a") as file:
        file.write('modes = "exact"\n')
    assert doubts(folder) == []
