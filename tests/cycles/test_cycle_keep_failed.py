"""`cycle --keep-failed` on real machines: looked at, never green, replaced."""

from __future__ import annotations

import re
import time

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines


def test_a_node_that_failed_stays_to_be_looked_at_and_passes_no_more(project: Project) -> None:
    project.entry("systemd-run --quiet --on-active=6 touch /var/tmp/late; echo deployed")
    project.config["keep"] = "never"
    project.config["checks"] = [
        {"type": "command", "command": "test -e /var/tmp/late", "within": "1s"}
    ]
    done = project.cycle("--keep-failed")
    assert done.code == 1, done
    (node,) = project.nodes()
    assert re.search(r"^to be looked at until .* \(for 2\dm\)", done.out, re.MULTILINE), done
    looked = project.run("debug", node["name"])
    assert (looked.code, "deployed" in looked.out) == (0, True), looked
    until = time.monotonic() + 60
    while "check command test -e /var/tmp/late ok" not in (late := project.run("verify")).out:
        assert time.monotonic() < until, late
    assert late.code == 1, late
    assert "was kept to be looked at, so it passes no more; 'spotdeploy cycle'" in late.out
    project.config["checks"] = []
    again = project.cycle()
    assert again.code == 0, again
    assert f"{node['name']} is gone" in again.out
