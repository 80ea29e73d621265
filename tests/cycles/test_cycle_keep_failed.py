"""`cycle --keep-failed` on real machines: looked at, never green, replaced."""

from __future__ import annotations

import re
import time

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines


def test_a_node_that_failed_stays_to_be_looked_at_and_passes_no_more(project: Project) -> None:
    project.file("made/web.service", "[Service]\nExecStart=/bin/echo served by the payload\n")
    project.entry(
        "cp made/web.service /etc/systemd/system/ && systemctl start web.service\n"
        "systemd-run --quiet --on-active=6 touch /var/tmp/late; echo deployed"
    )
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
    assert "served by the payload" in looked.out, looked
    assert "sshd" not in looked.out
    assert "spotdeploy-deploy" not in looked.out
    whole = project.run("debug", node["name"], "--all").out
    assert "sshd" in whole
    assert "served by the payload" in whole
    until = time.monotonic() + 60
    while "check command test -e /var/tmp/late ok" not in (late := project.run("verify")).out:
        assert time.monotonic() < until, late
    assert late.code == 1, late
    assert "was kept to be looked at, so it passes no more; 'spotdeploy cycle'" in late.out
    project.config["checks"] = []
    again = project.cycle()
    assert again.code == 0, again
    assert f"{node['name']} is gone" in again.out
