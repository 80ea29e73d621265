"""The check `log`."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.log import LogCheck, searching
from tests.plugins.checks.here import Here, ask, configured, refusal


class TestLogContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return LogCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "log", "path": "/var/log/app.log", "pattern": "listening"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"grep": CommandResult(0, "listening on :80\n", "")})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection(
            {"grep": CommandResult(1, "", ""), "tail": CommandResult(0, "starting\n", "")}
        )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "a b.log"
    file.write_bytes(b"12:00 starting\n12:01 \xfflistening on :80\n12:02 \x1b[31merror 7\x1b[0m\n")
    return file


async def diagnostic(path: Path, **keys: object) -> CheckResult:
    return await ask(LogCheck, Here(), path=str(path), **keys)


async def test_a_line_that_matches_passes_and_is_shown(log: Path) -> None:
    result = await diagnostic(log, pattern=r"listening on :\d+$")
    assert (result.ok, result.detail) == (True, "12:01 \ufffdlistening on :80")


async def test_a_log_without_such_a_line_fails_with_its_end(log: Path) -> None:
    result = await diagnostic(log, pattern="^ready")
    assert (result.ok, result.final) == (False, False)
    assert result.detail.startswith("no line matches '^ready'; its end: 12:00 starting")
    assert result.detail.endswith("12:02 error 7")


async def test_a_forbidden_line_fails_for_good_and_is_shown_harmlessly(log: Path) -> None:
    result = await diagnostic(log, pattern="listening", forbid=r"error \d")
    assert (result.ok, result.final) == (False, True)
    assert result.detail == "it says: 12:02 error 7"


async def test_a_log_without_forbidden_lines_passes(log: Path) -> None:
    assert (await diagnostic(log, forbid="panic")).ok
    assert (await diagnostic(log, pattern="starting", forbid="panic")).ok


async def test_a_log_of_any_size_is_searched_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.log"
    with file.open("wb") as out:
        out.write(b"first words\n")
        for _ in range(40):
            out.write(b"noise noise noise\n" * 50_000)
    assert (await diagnostic(file, pattern="^first words$", forbid="panic")).ok


async def test_many_lines_that_match_are_shown_by_a_few(tmp_path: Path) -> None:
    file = tmp_path / "noisy.log"
    file.write_text("error\n" * 10_000)
    result = await diagnostic(file, forbid="error")
    assert result.detail == "it says: error\nerror\nerror"


@pytest.mark.parametrize("keys", [{"pattern": "x"}, {"forbid": "x"}])
async def test_a_missing_log_fails_even_when_lines_are_only_forbidden(
    tmp_path: Path, keys: dict[str, object]
) -> None:
    missing = tmp_path / "none.log"
    result = await diagnostic(missing, **keys)
    assert (result.ok, result.final) == (False, False)
    assert result.detail == f"it cannot be searched: there is no file {missing}"


async def test_an_expression_that_only_python_knows_is_said_to_be_unusable(log: Path) -> None:
    result = await diagnostic(log, pattern=r"caf\u00e9")
    assert not result.ok
    assert "cannot be searched" in result.detail


async def test_an_expression_that_begins_with_a_dash_is_no_option(log: Path) -> None:
    assert "no line matches '-v'" in (await diagnostic(log, pattern="-v")).detail


def programs(folder: Path, **scripts: str) -> Here:
    """This computer with these shell scripts before its own programs."""
    for name, script in scripts.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Here(root=folder)


async def test_the_journal_of_a_unit_since_boot_is_searched(tmp_path: Path) -> None:
    here = programs(
        tmp_path, systemctl="echo loaded", journalctl='[ "$1" = --boot ] && echo "ready $*"'
    )
    good = await ask(LogCheck, here, unit="app.service", pattern="ready.*--unit=app.service")
    assert good.ok, good
    assert (await ask(LogCheck, here, unit="app.service", forbid="panic")).ok


async def test_an_empty_journal_vouches_for_nothing(tmp_path: Path) -> None:
    here = programs(tmp_path, systemctl="echo loaded", journalctl="exit 0")
    result = await ask(LogCheck, here, unit="app.service", forbid="panic")
    assert result.detail == "its journal since boot is empty"


async def test_a_unit_that_does_not_exist_fails(tmp_path: Path) -> None:
    here = programs(tmp_path, systemctl="echo not-found", journalctl="echo wrong")
    result = await ask(LogCheck, here, unit="ap.service", forbid="panic")
    assert result.detail == "it cannot be searched: there is no unit ap.service"


@pytest.mark.parametrize("end", ["exit 1", "echo fine; exit 1", "kill -9 $$"])
async def test_a_log_that_cannot_be_read_to_its_end_has_no_forbidden_line_ruled_out(
    tmp_path: Path, log: Path, end: str
) -> None:
    here = Here(root=tmp_path / "node")
    (tmp_path / "node/bin").mkdir(parents=True)
    (tmp_path / "node/bin/cat").write_text(f"#!/bin/sh\n{end}\n")
    (tmp_path / "node/bin/cat").chmod(0o755)
    for keys in ({"forbid": "panic"}, {"pattern": "panic"}):
        result = await ask(LogCheck, here, path=str(log), **keys)
        assert not result.ok
        assert "could not be read to its end" in result.detail


async def test_a_reader_that_is_not_needed_any_more_has_not_failed(tmp_path: Path) -> None:
    file = tmp_path / "long.log"
    file.write_text("ready\n" * 500_000)
    result = await diagnostic(file, pattern="ready", forbid="panic")
    assert result.ok, result


def test_a_log_file_is_brought_back_as_evidence() -> None:
    assert configured(LogCheck, path="/a.log", pattern="x").evidence() == ("/a.log",)
    assert configured(LogCheck, unit="a.service", pattern="x").evidence() == ()


def test_names_and_expressions_are_given_as_arguments_and_never_as_shell_text() -> None:
    assert list(searching("/a;b", "", "$(c)"))[2:] == [
        searching("/x", "", "y")[2],
        "sh",
        "/a;b",
        "$(c)",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pattern": "x"}, "checks[0]: path: give either path or unit"),
        ({"path": "/a", "unit": "b.service", "pattern": "x"}, "path: give either path or unit"),
        ({"path": "/a"}, "pattern: give pattern, forbid, or both"),
        ({"path": "a.log", "pattern": "x"}, "path: 'a.log' is not an absolute path"),
        ({"unit": "a b", "pattern": "x"}, "unit: 'a b' is not the name of a systemd unit"),
        ({"path": "/a", "pattern": "["}, "pattern: '[' is not a regular expression"),
        ({"path": "/a", "forbid": "["}, "forbid: '[' is not a regular expression"),
        ({"path": "/a", "pattern": "a\nb"}, "pattern: a log is searched line by line"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(LogCheck, **keys)
