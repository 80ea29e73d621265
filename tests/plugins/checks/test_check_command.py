"""The check `command`."""

from __future__ import annotations

from typing import Any

import pytest

from spotdeploy.check import Check, CommandResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.command import CommandCheck, arguments
from tests.plugins.checks.here import Here, ask, configured, refusal


class TestCommandContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return CommandCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "command", "command": "uptime", "contains": "up"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"uptime": CommandResult(0, "up 3 days", "")})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection({"uptime": CommandResult(1, "", "no clock")})


async def test_text_is_run_by_a_shell_and_a_list_as_it_is() -> None:
    assert (await ask(CommandCheck, Here(), command="echo a b | grep -c b")).ok
    listed = ["printf", "%s", "$HOME; a  b"]
    assert (await ask(CommandCheck, Here(), command=listed, contains="$HOME; a  b")).ok
    assert arguments(("a", "b c")) == ("a", "b c")


async def test_another_exit_code_fails_with_what_was_said() -> None:
    result = await ask(CommandCheck, Here(), command="echo out; echo err >&2; exit 3")
    assert (result.ok, result.final) == (False, False)
    assert result.detail == "exit code 3: err\nout"


async def test_an_exit_code_can_be_wanted_that_is_not_0() -> None:
    assert (await ask(CommandCheck, Here(), command="exit 3", exit_code=3)).ok


async def test_output_is_searched_for_text_and_for_expressions_line_by_line() -> None:
    command = "echo one; echo two 2"
    good = await ask(CommandCheck, Here(), command=command, contains="two", matches=r"^two \d$")
    assert (good.ok, good.detail) == (True, "one")
    bad = await ask(CommandCheck, Here(), command=command, matches="^2")
    assert bad.detail == "it did not say a match of '^2', but: one\ntwo 2"


async def test_a_command_that_does_not_end_fails() -> None:
    result = await ask(CommandCheck, Here(), command="sleep 60", timeout="100ms")
    assert "exit code 124: no end within" in result.detail


async def test_hostile_output_is_shown_harmlessly_and_shortly() -> None:
    command = (
        r"printf '\033[2J\033]0;x\007\377bell\007'; head -c 100000 /dev/zero | tr '\0' x; exit 1"
    )
    result = await ask(CommandCheck, Here(), command=command)
    assert "\x1b" not in result.detail
    assert "\ufffdbell" in result.detail
    assert len(result.detail) < 1200


async def test_output_that_was_cut_is_said_to_be() -> None:
    cut = ScriptedConnection(otherwise=CommandResult(0, "x" * 99, "", truncated=True))
    result = await ask(CommandCheck, cut, command="yes", contains="no")
    assert "too long to be read to the end" in result.detail


def test_the_title_is_the_command_in_one_line() -> None:
    assert configured(CommandCheck, command="a\n  b").name == "command a b"
    assert configured(CommandCheck, command=["a", "b"]).name == "command a b"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"command": ""}, "checks[0]: command: is empty"),
        ({"command": []}, "command: is empty"),
        ({"command": "  "}, "command: is empty"),
        ({"command": 1}, "checks[0].command: should be text or a list, not a whole number"),
        ({"command": "a", "exit_code": 256}, "checks[0].exit_code: should be at most 255"),
        ({"command": "a", "exit_code": 124}, "exit_code: 124 means that a command did not end"),
        ({"command": "a", "matches": "*"}, "matches: '*' is not a regular expression"),
        ({"command": "a", "timeout": "soon"}, "checks[0].timeout: 'soon' is not a duration"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(CommandCheck, **keys)
