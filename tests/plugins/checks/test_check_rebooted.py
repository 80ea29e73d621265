"""The check `rebooted`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CommandResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.rebooted import RebootedCheck
from tests.plugins.checks.here import Here, ask


class TestRebootedContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return RebootedCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "rebooted"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection(otherwise=CommandResult(0, "after\n", ""))

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection(otherwise=CommandResult(0, "before\n", ""))


@pytest.fixture
def node(tmp_path: Path) -> Here:
    here = Here(root=tmp_path)
    (tmp_path / "var/lib/spotdeploy").mkdir()
    (tmp_path / "run/spotdeploy").mkdir()
    return here


def leave_words(root: Path, kept: str | None, passing: str | None) -> None:
    for folder, word in (("var/lib", kept), ("run", passing)):
        if word is not None:
            (root / folder / "spotdeploy/before-reboot").write_text(word)


async def test_a_node_that_lost_the_word_on_its_tmpfs_has_rebooted(
    node: Here, tmp_path: Path
) -> None:
    leave_words(tmp_path, "w0rd\n", None)
    assert (await ask(RebootedCheck, node)).ok


async def test_a_node_that_still_has_both_words_has_not(node: Here, tmp_path: Path) -> None:
    leave_words(tmp_path, "w0rd\n", "w0rd\n")
    result = await ask(RebootedCheck, node)
    assert (result.ok, result.final) == (False, False)
    assert "has not gone down" in result.detail


@pytest.mark.parametrize(("kept", "passing"), [(None, None), ("", None), (None, "w0rd\n")])
async def test_a_node_that_was_never_told_to_reboot_fails_for_good(
    node: Here, tmp_path: Path, kept: str | None, passing: str | None
) -> None:
    leave_words(tmp_path, kept, passing)
    result = await ask(RebootedCheck, node)
    assert (result.ok, result.final) == (False, True)
    assert "no reboot was ever ordered" in result.detail
