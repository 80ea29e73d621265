"""Cycles whose checks are the user's own tests: testinfra and goss."""

from __future__ import annotations

import pytest

from tests.cycles.project import Project
from tests.plugins.checks.standin_goss import STAND_IN_GOSS

pytestmark = pytest.mark.machines

TESTS = """
def test_deployed(host):
    assert host.file("/srv/deployed").content_string == "once\\n"

def test_root(host):
    assert host.user().name == "root"
"""


@pytest.fixture
def tested(project: Project) -> Project:
    """A project with tests of both kinds, which hold."""
    project.entry("echo once >> /srv/deployed")
    (project.folder / "tests").mkdir()
    (project.folder / "tests/test_node.py").write_text(TESTS)
    (project.folder / "tests/goss.yaml").write_text("file:\n  /srv/deployed:\n    exists: true\n")
    (project.folder / "uploads").mkdir()
    (project.folder / "uploads/goss").write_text(STAND_IN_GOSS)
    (project.folder / "uploads/goss").chmod(0o755)
    project.config["payload"] |= {"upload": ["uploads"], "reboot": True}
    project.config["checks"] = [
        {"type": "testinfra", "files": ["tests/test_node.py"], "within": "30s"},
        {"type": "goss", "file": "tests/goss.yaml", "within": "30s"},
    ]
    return project


def test_a_cycle_with_own_tests_is_passed_and_nobody_logged_in(tested: Project) -> None:
    done = tested.cycle()
    assert done.code == 0, done
    again = tested.run("verify")
    assert again.code == 0, again
    assert sorted(path.name for path in (tested.folder / "tests").iterdir()) == [
        "goss.yaml",
        "test_node.py",
    ]


def test_a_cycle_whose_own_tests_fail_blames_the_payload_and_names_them(tested: Project) -> None:
    tested.entry("echo twice >> /srv/deployed")
    tested.config["checks"][0]["within"] = "1s"
    done = tested.cycle()
    assert done.code == 1, done
    assert "1 of 2 tests failed: test_deployed" in done.out


def test_what_this_computer_lacks_is_refused_before_anything_is_made(tested: Project) -> None:
    (tested.folder / "uploads/goss").chmod(0o644)
    done = tested.cycle()
    assert done.code == 2, done
    assert "make it executable" in done.err
    (tested.folder / "tests/test_node.py").unlink()
    done = tested.cycle()
    assert done.code == 2, done
    assert "tests/test_node.py does not exist" in done.err
    assert tested.nodes() == []
