"""The checks that run a user's own tests, on a real machine: no login of theirs is seen there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spotdeploy_checks.goss import GossCheck
from spotdeploy_checks.payload import PayloadCheck
from spotdeploy_checks.testinfra import InfraTestCheck
from tests.plugins.checks.machine import RealNode, booted
from tests.plugins.checks.standin_goss import STAND_IN_GOSS

pytestmark = pytest.mark.machines

TESTS = """
import pytest

def test_ssh_runs_and_listens(host):
    assert host.service("ssh").is_running
    assert host.service("ssh").is_enabled
    assert host.socket("tcp://0.0.0.0:22").is_listening

def test_the_payload_is_there(host):
    file = host.file("/opt/spotdeploy/payload/conf/app.ini")
    assert file.contains("answer = 42")
    assert (file.user, file.mode) == ("root", 0o644)

def test_commands_run_as_root_and_can_become_another(host):
    assert host.user().name == "root"
    with host.sudo("nobody"):
        assert host.check_output("whoami") == "nobody"

def test_the_system_is_a_debian_with_systemd(host):
    assert host.system_info.distribution == "debian"
    assert host.package("systemd").is_installed
    assert host.process.get(pid=1).comm == "systemd"
"""


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealNode]:
    async with booted(tmp_path) as node:
        yield node


async def test_testinfra_asks_a_real_node_and_nobody_logged_in(
    real: RealNode, tmp_path: Path
) -> None:
    (tmp_path / "test_node.py").write_text(TESTS)
    (tmp_path / "test_bad.py").write_text(
        "def test_web(host):\n    assert host.service('nginx').is_running\n"
    )
    good = await real.ask(InfraTestCheck, files=[str(tmp_path / "test_node.py")])
    assert (good.ok, good.detail) == (True, "4 tests passed")
    bad = await real.ask(InfraTestCheck, files=[str(tmp_path / "test_bad.py")])
    assert (bad.ok, bad.final) == (False, False)
    assert bad.detail.startswith("1 of 1 test failed: test_web\n")
    untouched = await real.ask(PayloadCheck)
    assert untouched.ok, untouched


async def test_goss_is_run_on_a_real_node_and_nothing_is_left_there(
    real: RealNode, tmp_path: Path
) -> None:
    file = tmp_path / "goss.yaml"
    file.write_text("file:\n  /etc/passwd:\n    exists: true\n")
    absent = await real.ask(GossCheck, file=str(file))
    assert (absent.ok, absent.final) == (False, True)
    assert absent.detail.startswith("goss is not on the node; ")
    await real.do(f"cat > /opt/uploaded_files/goss <<'END'\n{STAND_IN_GOSS}END\n")
    refused = await real.ask(GossCheck, file=str(file))
    assert (refused.ok, refused.final) == (False, True)
    assert "it cannot be run" in refused.detail
    await real.do("chmod 755 /opt/uploaded_files/goss; find / -xdev -type f | sort > /run/before")
    good = await real.ask(GossCheck, file=str(file))
    assert (good.ok, good.detail) == (True, "1 test passed")
    file.write_text("file:\n  /etc/passwd:\n    exists: true\n  /srv/none:\n    exists: true\n")
    bad = await real.ask(GossCheck, file=str(file))
    assert bad.detail == (
        "1 of 2 tests failed: File: /srv/none: exists: Expected false to equal true"
    )
    new = await real.do("find / -xdev -type f | sort | comm -13 /run/before -")
    assert [line for line in new.splitlines() if not line.startswith("/var/log/journal/")] == []
    assert (await real.ask(PayloadCheck)).ok
