"""The check `testinfra`: a real pytest runs real test files, and its commands come back to us."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.config.load import decode
from spotdeploy.errors import UnreachableError
from spotdeploy.model import Manifest, Node
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks import testinfra
from spotdeploy_checks.testinfra import InfraTestCheck
from tests.plugins.checks.here import NODE, Here, configured, refusal

READY = 'def test_ready(host):\n    assert host.run("ask-if-ready").stdout == "yes"\n'


def check(folder: Path, *files: str, **keys: object) -> InfraTestCheck:
    """A check as it is made from a spotdeploy.toml in this folder."""
    table = {"type": "testinfra", "files": files, **keys}
    settings = decode(table, InfraTestCheck.Settings, "spotdeploy.toml", "checks[0]")
    return InfraTestCheck(settings, folder)


async def outcome(
    folder: Path, source: str, connection: Connection | None = None, **keys: object
) -> CheckResult:
    """What the check says of one file of tests."""
    (folder / "test_node.py").write_text(source)
    return await check(folder, "test_node.py", **keys).run(NODE, connection or Here())


class TestTestinfraContract(CheckContract):
    at_once = 30.0

    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return InfraTestCheck

    @pytest.fixture
    def table(self, tmp_path: Path) -> dict[str, object]:
        (tmp_path / "test_ready.py").write_text(READY)
        return {"type": "testinfra", "files": [str(tmp_path / "test_ready.py")]}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"ask-if-ready": CommandResult(0, "yes", "")})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection({"ask-if-ready": CommandResult(0, "no", "")})

    @pytest.mark.parametrize("exit_code", [0, -9])
    def test_hostile_output_is_no_crash(
        self, check: Check[Any], node: Node, exit_code: int
    ) -> None:
        """Fewer exit codes than usual: each answer costs a pytest of its own."""
        super().test_hostile_output_is_no_crash(check, node, exit_code)


async def test_tests_that_pass_are_counted(tmp_path: Path) -> None:
    (tmp_path / "word").write_bytes("grüß".encode())
    source = f"""
import pytest

@pytest.mark.parametrize("name", ["word"])
def test_content(host, name):
    file = host.file({str(tmp_path)!r} + "/" + name)
    assert file.is_file and file.content_string == "grüß"

def test_exit_code_and_both_streams(host):
    done = host.run("echo %s; echo err >&2; exit 3", "a  'b'")
    assert (done.rc, done.stdout, done.stderr) == (3, "a  'b'\\n", "err\\n")
    assert host.backend.get_hostname() == "node-1"

@pytest.mark.skip
def test_skipped(host):
    raise AssertionError
"""
    result = await outcome(tmp_path, source)
    assert (result.ok, result.detail) == (True, "2 tests passed, 1 skipped")


async def test_every_command_goes_over_the_connection_and_none_elsewhere(tmp_path: Path) -> None:
    connection = ScriptedConnection({"ask-if-ready": CommandResult(0, "yes", "")})
    result = await outcome(tmp_path, READY, connection)
    assert result.ok, result
    assert connection.asked == [["sh", "-c", "ask-if-ready"]]
    assert connection.dialled == []


async def test_failed_tests_are_named_with_their_reasons_harmlessly(tmp_path: Path) -> None:
    source = """
import pytest

def test_good(host):
    pass

@pytest.mark.parametrize("port", [80])
def test_colour(host, port):
    raise RuntimeError(host.check_output(r"printf '\\033[31mred\\007'") + ", not blue")

@pytest.fixture
def broken(host):
    host.run_expect([0], "exit 9")

def test_setup(broken):
    pass
"""
    result = await outcome(tmp_path, source)
    first, *rest = result.detail.splitlines()
    assert (result.ok, result.final) == (False, False)
    assert first == "2 of 3 tests failed: test_colour[80], test_setup"
    assert rest[0].startswith("test_colour[80]: RuntimeError: ")
    assert rest[0].endswith(", not blue")
    assert "Unexpected exit code 9" in result.detail
    assert "\x1b" not in result.detail
    assert "\x07" not in result.detail


async def test_many_failures_are_cut_short(tmp_path: Path) -> None:
    source = """
import pytest

@pytest.mark.parametrize("number", range(40))
def test_long(host, number):
    assert "x" * 100000 == ""
"""
    result = await outcome(tmp_path, source)
    assert "40 of 40 tests failed: " in result.detail
    assert "and 35 more" in result.detail
    assert len(result.detail) < 4000


async def test_a_file_that_cannot_be_loaded_is_a_final_failure(tmp_path: Path) -> None:
    result = await outcome(tmp_path, "import surely_no_such_module\n")
    assert (result.ok, result.final) == (False, True)
    assert "pytest could not load" in result.detail
    assert "No module named 'surely_no_such_module'" in result.detail


async def test_a_file_without_tests_is_a_final_failure(tmp_path: Path) -> None:
    result = await outcome(tmp_path, "def helper(): pass\n")
    assert (result.ok, result.final, result.detail) == (False, True, "pytest found no tests")


async def test_a_test_that_is_not_in_its_file_is_a_final_failure(tmp_path: Path) -> None:
    (tmp_path / "test_node.py").write_text(READY)
    result = await check(tmp_path, "test_node.py::test_redy").run(NODE, Here())
    assert (result.ok, result.final) == (False, True)
    first = result.detail.splitlines()[0]
    assert first.startswith("pytest ended with exit code 4: not found: ")
    assert "test_redy" in first


async def test_tests_that_are_all_skipped_prove_nothing(tmp_path: Path) -> None:
    source = "import pytest\n\ndef test_nothing(host):\n    pytest.skip('not today')\n"
    result = await outcome(tmp_path, source)
    assert (result.ok, result.detail) == (False, "no test ran: 1 were skipped")


async def test_success_is_not_taken_from_the_exit_code_alone(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    )
    result = await outcome(tmp_path, "def test_bad(host):\n    assert 0\n")
    assert not result.ok
    (tmp_path / "conftest.py").write_text("import os\n\nos._exit(0)\n")
    result = await outcome(tmp_path, "def test_good(host):\n    pass\n")
    assert (result.ok, result.detail) == (False, "pytest ended with exit code 0")


async def test_the_users_own_settings_of_pytest_stand(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -k good --hosts=elsewhere -n 2\n")
    result = await outcome(tmp_path, "def test_good(host): host.run('true')\ndef test_bad(): 1/0\n")
    assert (result.ok, result.detail) == (True, "1 test passed")


async def test_nothing_is_left_behind_in_the_users_folder(tmp_path: Path) -> None:
    await outcome(tmp_path, "def test_good(host):\n    pass\n")
    assert [path.name for path in tmp_path.iterdir()] == ["test_node.py"]


async def test_the_socket_is_in_a_folder_of_our_own_that_is_gone_afterwards(
    tmp_path: Path,
) -> None:
    source = f"""
import os, pathlib

def test_folder(host):
    folder = pathlib.Path(os.environ["SPOTDEPLOY_RELAY"]).parent
    pathlib.Path({str(tmp_path / "folder")!r}).write_text(f"{{folder.stat().st_mode:o}} {{folder}}")
"""
    assert (await outcome(tmp_path, source)).ok
    mode, folder = (tmp_path / "folder").read_text().split()
    assert mode == "40700"
    assert not Path(folder).exists()


async def test_what_steers_another_pytest_does_not_steer_this_one(tmp_path: Path) -> None:
    os.environ.update(PYTEST_ADDOPTS="--collect-only", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (await outcome(tmp_path, "def test_good(host):\n    pass\n")).ok


async def test_a_node_that_is_lost_ends_the_run_at_once_as_unreachable(tmp_path: Path) -> None:
    source = """
import time

def test_lost(host):
    try:
        host.run("true")
    finally:
        time.sleep(600)
"""
    with pytest.raises(UnreachableError, match="the connection was lost"):
        await outcome(tmp_path, source, ScriptedConnection(reachable=False))


async def test_output_that_was_cut_is_no_answer(tmp_path: Path) -> None:
    cut = ScriptedConnection(otherwise=CommandResult(0, "yes", "", truncated=True))
    result = await outcome(tmp_path, READY, cut)
    assert "too long to be read to the end" in result.detail


async def test_tests_that_do_not_end_are_ended_with_all_they_started(tmp_path: Path) -> None:
    source = f"""
import os, subprocess, time

def test_endless(host):
    child = subprocess.Popen(["sleep", "600"])
    open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
    time.sleep(600)
"""
    (tmp_path / "test_node.py").write_text(source)
    os.mkfifo(tmp_path / "pids")
    question = asyncio.create_task(check(tmp_path, "test_node.py").run(NODE, Here()))
    pids = await asyncio.to_thread((tmp_path / "pids").read_text)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert [pid for pid in pids.split() if _alive(pid)] == []
    late = await check(tmp_path, "test_node.py", timeout="100ms").run(NODE, Here())
    assert late.detail.startswith("pytest did not end within 0.1s")


def _alive(pid: str) -> bool:
    """Zombies, which only wait for whoever adopted them, count as gone."""
    stat = Path("/proc", pid, "stat")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
    return True


def test_a_missing_file_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "test_node.py").write_text(READY)
    assert check(tmp_path, "test_node.py::test_ready").objection(Manifest(())) == ""
    message = check(tmp_path, "test_node.py", "tests/test_x.py::test_y").objection(Manifest(()))
    assert message == f"files: tests/test_x.py does not exist in {tmp_path}"


def test_a_missing_testinfra_is_refused_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testinfra, "DISTRIBUTION", "surely-not-installed")
    message = check(tmp_path, "test_node.py").objection(Manifest(()))
    assert message.endswith("is not installed: pip install 'spotdeploy[testinfra]'")


def test_the_title_names_the_files() -> None:
    files = ["tests/a.py", "tests/b.py::test_c"]
    assert (
        configured(InfraTestCheck, files=files).name == "testinfra tests/a.py, tests/b.py::test_c"
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "files"),
        ({"files": []}, "checks[0].files"),
        ({"files": [""]}, "files[0]: '' names no file"),
        ({"files": ["::test_x"]}, "files[0]: '::test_x' names no file"),
        ({"files": ["a"], "timeout": "soon"}, "checks[0].timeout: 'soon' is not a duration"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(InfraTestCheck, **keys)


def test_a_plan_imports_nothing_that_only_running_the_tests_needs() -> None:
    script = """
import sys
from spotdeploy_checks import spotdeploy_register_checks
(cls,) = [cls for cls in spotdeploy_register_checks() if cls.kind == "testinfra"]
cls(cls.Settings(type="testinfra", files=("a",))).objection(None)
print(sorted({"testinfra.host", "pytest", "junitparser"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
