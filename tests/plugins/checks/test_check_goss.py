"""The check `goss`: answers as several releases of goss give them, from a program in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.config.load import decode
from spotdeploy.model import Manifest, PayloadFile
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks import goss_answer
from spotdeploy_checks.goss import GossCheck, command
from tests.plugins.checks.here import NODE, Here, configured, refusal

FILE = "file:\n  /etc/passwd:\n    exists: true\n"
STAND_IN = """#!/bin/sh
[ "$1 $2" = "--gossfile -" ] || exit 64
shift 2
if [ "$1" = --vars-inline ]; then echo "$2" > {folder}/vars; shift 2; fi
[ "$*" = "validate --format json --no-color" ] || exit 64
cat > {folder}/was-given
pwd > {folder}/was-in
cat {folder}/answer
exit {code}
"""


def row_03(result: int, **more: object) -> dict[str, object]:
    """A test as goss 0.3 tells of it."""
    return {
        "successful": result != 1,
        "skipped": result == 2,
        "resource-id": "/etc/passwd",
        "resource-type": "File",
        "title": "",
        "meta": None,
        "test-type": 0,
        "property": "exists",
        "err": None,
        "expected": ["true"],
        "found": ["false"],
        "human": "",
        "duration": 17600,
        "result": result,
        "summary-line": "File: /etc/passwd: exists: doesn't match, expect: [true] found: [false]",
        **more,
    }


def row_04(result: int, **more: object) -> dict[str, object]:
    """A test as goss 0.4 tells of it; 0.4.0 called no test successful."""
    return {
        "successful": False,
        "skipped": result == 2,
        "resource-id": "sshd",
        "resource-type": "Service",
        "title": "",
        "meta": None,
        "property": "running",
        "result": result,
        "err": None,
        "duration": 17600,
        "start-time": "2026-11-24T04:20:23Z",
        "end-time": "2026-11-24T04:20:23Z",
        "matcher-result": {
            "actual": False,
            "message": "to equal",
            "expected": True,
            "missing-elements": None,
            "found-elements": None,
            "extra-elements": None,
            "transform-chain": None,
            "untransformed-value": None,
        },
        "summary-line": "Service: sshd: running:\nExpected\n    false\nto equal\n    true",
        **more,
    }


def answer(*rows: dict[str, object]) -> str:
    """All of what goss prints."""
    failed = sum(row["result"] == 1 for row in rows)
    summary = {
        "test-count": len(rows),
        "failed-count": failed,
        "total-duration": 3305800,
        "summary-line": f"Count: {len(rows)}, Failed: {failed}, Duration: 0.003s",
    }
    return json.dumps({"results": list(rows) or None, "summary": summary}) + "\n"


def check(folder: Path, **keys: object) -> GossCheck:
    """A check as it is made from a spotdeploy.toml in this folder, with its goss file."""
    (folder / "goss.yaml").write_text(FILE)
    table = {"type": "goss", "file": "goss.yaml", **keys}
    return GossCheck(decode(table, GossCheck.Settings, "spotdeploy.toml", "checks[0]"), folder)


async def asked(folder: Path, output: str, code: int = 0, **keys: object) -> CheckResult:
    """What the check says when goss, uploaded to this computer's own root, gives this answer."""
    uploaded = folder / "node/opt/uploaded_files"
    uploaded.mkdir(parents=True, exist_ok=True)
    (folder / "answer").write_text(output)
    (uploaded / "goss").write_text(STAND_IN.format(folder=folder, code=code))
    (uploaded / "goss").chmod(0o755)
    return await check(folder, **keys).run(NODE, Here(root=folder / "node"))


class TestGossContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return GossCheck

    @pytest.fixture
    def table(self, tmp_path: Path) -> dict[str, object]:
        (tmp_path / "goss.yaml").write_text(FILE)
        return {"type": "goss", "file": str(tmp_path / "goss.yaml")}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"validate": CommandResult(0, answer(row_03(0)), "")})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection({"validate": CommandResult(1, answer(row_03(1)), "")})


async def test_goss_is_given_the_file_and_the_variables_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    result = await asked(tmp_path, answer(row_03(0), row_03(0), row_03(2)), vars={"port": 1})
    assert (result.ok, result.detail) == (True, "2 tests passed, 1 skipped")
    assert (tmp_path / "was-given").read_text() == FILE
    assert json.loads((tmp_path / "vars").read_text()) == {"port": 1}
    assert (tmp_path / "was-in").read_text() == "/\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (row_03, "File: /etc/passwd: exists: doesn't match, expect: [true] found: [false]"),
        (row_04, "Service: sshd: running: Expected false to equal true"),
    ],
)
async def test_a_failed_test_is_named_with_what_was_found(
    tmp_path: Path, row: Any, message: str
) -> None:
    result = await asked(tmp_path, answer(row(0), row(1), row(2)), code=1)
    assert (result.ok, result.final) == (False, False)
    assert result.detail == f"1 of 2 tests failed: {message}"


async def test_a_release_that_calls_no_test_successful_is_understood(tmp_path: Path) -> None:
    result = await asked(tmp_path, answer(row_04(0), row_04(2)))
    assert (result.ok, result.detail) == (True, "1 test passed, 1 skipped")


async def test_lines_before_the_answer_are_passed_over(tmp_path: Path) -> None:
    result = await asked(tmp_path, "[WARN] old key\n" + answer(row_04(0)))
    assert result.ok, result


async def test_many_failures_are_cut_short_and_harmless(tmp_path: Path) -> None:
    hostile = row_04(1, **{"summary-line": "\x1b[2J" + "x" * 9999, "resource-id": "y" * 9999})
    result = await asked(tmp_path, answer(*[hostile] * 40), code=1)
    assert result.detail.startswith("40 of 40 tests failed: Service: yyy")
    assert result.detail.endswith("\nand 35 more")
    assert "\x1b" not in result.detail
    assert len(result.detail) < 4000


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        (answer(), 0, "no test ran: 0 were skipped"),
        (answer(row_04(2)), 0, "no test ran: 1 were skipped"),
        (answer(row_04(0)), 3, "goss ended with exit code 3, though it names no failed test"),
        (
            answer(row_04(0)).replace('"failed-count": 0', '"failed-count": 1'),
            0,
            "1 of 1 test failed",
        ),
        ("no JSON", 0, "goss ended with exit code 0: no JSON"),
        ("{}", 0, "goss ended with exit code 0: {}"),
        ("", 1, "goss ended with exit code 1: (nothing)"),
    ],
)
async def test_only_tests_that_ran_and_succeeded_are_success(
    tmp_path: Path, output: str, code: int, message: str
) -> None:
    result = await asked(tmp_path, output, code)
    assert (result.ok, result.final, result.detail) == (False, False, message)


async def test_a_goss_file_that_goss_cannot_use_is_a_final_failure(tmp_path: Path) -> None:
    result = await asked(tmp_path, "Error: found 0 tests, source: STDIN\n", code=78)
    assert (result.ok, result.final) == (False, True)
    assert result.detail == "goss ended with exit code 78: Error: found 0 tests, source: STDIN"


async def test_a_node_without_goss_is_told_where_to_get_it_and_how_to_ship_it(
    tmp_path: Path,
) -> None:
    for binary in ("surely-no-goss", "/opt/uploaded_files/surely-no-goss"):
        result = await check(tmp_path, binary=binary).run(NODE, Here())
        assert (result.ok, result.final) == (False, True)
        assert result.detail.startswith(f"{binary} is not on the node; ")
        assert "https://github.com/goss-org/goss/releases" in result.detail
        assert "payload.upload" in result.detail


async def test_a_goss_that_cannot_be_run_is_a_final_failure(tmp_path: Path) -> None:
    (tmp_path / "goss").write_bytes(b"\x7fELF" + bytes(64))
    (tmp_path / "goss").chmod(0o755)
    result = await check(tmp_path, binary=str(tmp_path / "goss")).run(NODE, Here())
    assert (result.ok, result.final) == (False, True)
    assert result.detail.startswith("it cannot be run: ")


async def test_a_goss_on_the_path_is_used_before_an_uploaded_one(tmp_path: Path) -> None:
    await asked(tmp_path, answer(row_04(0)))
    (tmp_path / "node/bin").mkdir()
    (tmp_path / "node/bin/goss").write_text("#!/bin/sh\necho from the PATH\n")
    (tmp_path / "node/bin/goss").chmod(0o755)
    result = await check(tmp_path).run(NODE, Here(root=tmp_path / "node"))
    assert result.detail == "goss ended with exit code 0: from the PATH"


def test_a_missing_file_and_a_goss_that_is_not_executable_are_refused_at_plan(
    tmp_path: Path,
) -> None:
    def shipped(mode: int) -> Manifest:
        return Manifest((PayloadFile("uploaded_files/goss", mode, "0" * 64, 1, tmp_path),))

    assert check(tmp_path).objection(shipped(0o755)) == ""
    assert check(tmp_path).objection(Manifest(())) == ""
    message = check(tmp_path).objection(shipped(0o644))
    assert message == "/opt/uploaded_files/goss would be shipped with mode 0644: make it executable"
    message = check(tmp_path, file="gone.yaml").objection(Manifest(()))
    assert message == f"file: gone.yaml does not exist in {tmp_path}"


async def test_a_file_that_cannot_be_read_is_a_final_failure(tmp_path: Path) -> None:
    result = await check(tmp_path, file="gone.yaml").run(NODE, ScriptedConnection())
    assert (result.ok, result.final) == (False, True)
    assert result.detail == "file: gone.yaml cannot be read: No such file or directory"
    (tmp_path / "big.yaml").write_bytes(bytes((1 << 20) + 1))
    large = await check(tmp_path, file="big.yaml").run(NODE, ScriptedConnection())
    assert large.detail == "file: big.yaml has more than 1048576 bytes"


def test_rows_without_a_result_are_judged_by_whether_they_were_successful() -> None:
    def report(*rows: Sequence[tuple[str, object]]) -> goss_answer.Report | None:
        summary = {"test-count": len(rows), "failed-count": 0}
        return goss_answer.parse(
            json.dumps({"results": [dict(r) for r in rows], "summary": summary})
        )

    old = report([("successful", True)], [("successful", False)])
    assert old is not None
    assert (old.passed, old.failed, old.reasons) == (1, 1, ("?: ?: ?: failed",))


def test_the_command_reads_from_standard_input_only(tmp_path: Path) -> None:
    line = command(check(tmp_path).settings)
    assert line[3:] == [
        "sh",
        "goss",
        "--gossfile",
        "-",
        "validate",
        "--format",
        "json",
        "--no-color",
    ]


def test_the_title_is_the_file() -> None:
    assert configured(GossCheck, file="tests/goss.yaml").name == "goss tests/goss.yaml"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "file"),
        ({"file": " "}, "file: is empty"),
        ({"file": "a", "binary": ""}, "binary: '' names no program"),
        ({"file": "a", "binary": "-x"}, "binary: '-x' names no program"),
        ({"file": "a", "binary": "bin/goss"}, "is neither a name nor an absolute path"),
        ({"file": "a", "timeout": "soon"}, "checks[0].timeout: 'soon' is not a duration"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(GossCheck, **keys)
