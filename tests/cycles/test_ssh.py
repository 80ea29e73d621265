"""`spotdeploy ssh` in a folder that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.opened(tmp_path / "my 50% projects", "ssh-here") as project:
        project.config |= {"providers": ["local"], "keep": "always"}
        yield project


def test_a_node_is_entered_from_any_folder_and_marked_only_when_it_was(project: Project) -> None:
    assert project.cycle().code == 0
    (node,) = project.nodes()
    (project.folder / "ipaddress.py").write_text("open('ran', 'w')\n")
    known = project.folder / ".spotdeploy" / "ssh-here" / "id_ed25519"
    key = known.read_text()
    known.write_text("no key\n")
    assert project.run("ssh", node["name"], "--", "true").code != 0
    known.write_text(key)
    assert project.run("verify").code == 0, "a session that never began marked the node"
    entered = project.run("ssh", node["name"], "--", "echo in; exit 7")
    assert (entered.code, entered.out) == (7, "in\n"), entered
    touched = project.run("verify")
    assert touched.code == 1
    assert "touched" in touched.out
    assert not (project.folder / "ran").exists()
