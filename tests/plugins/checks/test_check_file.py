"""The check `file`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.file import READ_LIMIT, FileCheck, parse
from tests.plugins.checks.here import Here, ask, configured, refusal


class TestFileContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return FileCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "file", "path": "/etc/app.ini", "mode": "0640"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"stat": CommandResult(0, "81a0 3 0 0\nroot\nroot\n\n", "")})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection({"stat": CommandResult(0, "absent\n", "")})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a b;$(x).ini"
    path.write_bytes(b"answer = 42\n\xff\x00\nend\n")
    path.chmod(0o640)
    return path


async def diagnostic(path: Path | str, **keys: object) -> CheckResult:
    return await ask(FileCheck, Here(), path=str(path), **keys)


async def test_everything_that_can_be_asked_of_a_file_can_be_right(file: Path) -> None:
    result = await diagnostic(
        file,
        mode="0640",
        owner="root",
        group="0",
        min_size=19,
        max_size=19,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        contains="= 42",
        matches=r"^end$",
    )
    assert (result.ok, result.detail) == (True, "19 bytes")


async def test_everything_that_is_wrong_is_named_at_once(file: Path) -> None:
    os.chown(file, 4321, 4321)
    result = await diagnostic(
        file,
        mode="600",
        owner="nobody",
        group="root",
        min_size=100,
        max_size=200,
        sha256="0" * 64,
        contains="43",
    )
    assert (result.ok, result.final) == (False, False)
    for message in (
        "its mode is 0640, not 0600",
        "its owner is UNKNOWN, not nobody",
        "its group is UNKNOWN, not root",
        "bytes, fewer than 100",
        f"its sha256 is {hashlib.sha256(file.read_bytes()).hexdigest()}, not 000",
        "'43' is not in its first",
    ):
        assert message in result.detail


async def test_a_file_can_be_too_large(file: Path) -> None:
    assert "more than 3" in (await diagnostic(file, max_size=3)).detail
    assert "more than 0" in (await diagnostic(file, max_size=0)).detail


async def test_special_bits_are_part_of_the_mode(file: Path) -> None:
    file.chmod(0o4755)
    assert "its mode is 4755, not 0755" in (await diagnostic(file, mode="755")).detail
    assert (await diagnostic(file, mode="4755")).ok


async def test_a_missing_file_fails_and_passes_where_it_should_be_absent(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    assert (await diagnostic(missing)).detail == "it is not there"
    assert (await diagnostic(missing, absent=True)).ok


async def test_a_present_file_fails_where_it_should_be_absent(file: Path) -> None:
    result = await diagnostic(file, absent=True)
    assert not result.ok
    assert result.detail == "it is there: 19 bytes, owned by root"


async def test_a_link_is_followed_and_one_that_leads_nowhere_is_named(
    file: Path, tmp_path: Path
) -> None:
    link, broken = tmp_path / "link", tmp_path / "broken"
    link.symlink_to(file)
    broken.symlink_to("nowhere")
    assert (await diagnostic(link, contains="42")).ok
    assert (await diagnostic(broken)).detail == "it is a link that leads nowhere"


async def test_a_pipe_is_never_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert (await diagnostic(pipe)).ok
    result = await diagnostic(pipe, contains="x", sha256="0" * 64)
    assert result.detail == "it is not a plain file"


async def test_a_folder_has_mode_and_owner_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert (await diagnostic(tmp_path, mode="0750", owner="root")).ok


async def test_a_large_file_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * READ_LIMIT + b"needle")
    result = await diagnostic(file, contains="needle")
    assert result.detail == f"'needle' is not in its first {READ_LIMIT} bytes"


async def test_only_what_is_asked_is_read(file: Path) -> None:
    here = Here()
    await ask(FileCheck, here, path=str(file))
    await ask(FileCheck, here, path=str(file), contains="4")
    await ask(FileCheck, here, path=str(file), sha256="0" * 64)
    assert [command[-1] for command in here.asked] == [",", ",read", "sum,"]


@given(st.text(max_size=200))
def test_no_answer_breaks_the_parser(answer: str) -> None:
    parse(answer)
    parse(f"81a4 5 0 0\n{answer}")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "etc/x"}, "checks[0]: path: 'etc/x' is not an absolute path"),
        ({"path": "/x", "mode": "rw"}, "mode: 'rw' is not permission bits such as \"0644\""),
        ({"path": "/x", "mode": 644}, "checks[0].mode: should be text, not a whole number"),
        ({"path": "/x", "sha256": "AB"}, "sha256: 'AB' is not 64 digits"),
        ({"path": "/x", "min_size": -1}, "checks[0].min_size: should be at least 0"),
        ({"path": "/x", "min_size": 2, "max_size": 1}, "max_size: 1 is less than min_size, 2"),
        ({"path": "/x", "matches": "("}, "matches: '(' is not a regular expression"),
        ({"path": "/x", "absent": True, "mode": "644"}, "absent: nothing else can be asked"),
        ({"path": "/x", "absent": True, "max_size": 0}, "absent: nothing else can be asked"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(FileCheck, **keys)


def test_titles_tell_absence_apart() -> None:
    assert configured(FileCheck, path="/x").name == "file /x"
    assert configured(FileCheck, path="/x", absent=True).name == "file /x absent"
