"""What commands print of a node: no secret, and nothing that GitHub would obey."""

from __future__ import annotations

import json

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.cli import errors
from spotdeploy.cli.debug import show_diagnostics
from spotdeploy.cli.tables import json_text
from spotdeploy.errors import UnreachableError
from spotdeploy.node.diagnostics import DIAGNOSTICS
from spotdeploy.redact import Redactor
from spotdeploy.text import hide, inert, plain

EVIL = "::error::forged\n  ::add-mask::e\n##[error]forged\nmid ##[add-path]/tmp line"
LONG = CommandResult(1, "x" * 19_990 + "correct-horse-battery", "hun\x1b[31mter2\x1b[0m000")


def diagnosed(result: CommandResult, *, as_json: bool) -> None:
    show_diagnostics(
        [(DIAGNOSTICS[0], result)], as_json=as_json, environment={"GITHUB_ACTIONS": "true"}
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_debug_takes_secrets_out_before_it_cuts_and_with_escapes_in_them(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    hide("demo", Redactor(["correct-horse-battery", "hunter2000"]).excerpt)
    diagnosed(LONG, as_json=as_json)
    shown = capsys.readouterr().out
    assert "correct" not in shown
    assert "hun" not in shown
    assert "xxx[" in shown


def test_debug_lets_no_node_issue_a_workflow_command(capsys: pytest.CaptureFixture[str]) -> None:
    diagnosed(CommandResult(0, EVIL, ""), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    opening, word = lines[0].rsplit("::", 1)
    assert opening == "::stop-commands"
    assert lines[-1] == f"::{word}::"
    assert "::error::forged" in lines[1:-1]


def test_json_is_data_alone_and_has_no_workflow_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    diagnosed(CommandResult(0, EVIL, ""), as_json=True)
    shown = capsys.readouterr().out
    assert json.loads(shown)[0]["stdout"] == EVIL
    assert "##[" not in shown
    assert not [line for line in shown.splitlines() if line.lstrip().startswith("::")]
    assert json.loads(json_text({"##[a]": [EVIL]})) == {"##[a]": [EVIL]}
    assert inert('{"a": "##[x]"}') == '{"a": "\\u0023#[x]"}'


def test_an_error_is_quoted_on_github_and_has_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("SPOTDEPLOY_VERBOSE", "1")
    hide("demo", Redactor(["hunter2000"]).excerpt)
    outer = UnreachableError(f"hunter2000\n{EVIL}", phase="ship")
    outer.__cause__ = ValueError("inside: hunter2000")
    errors.show(outer)
    shown = capsys.readouterr().err
    assert shown.startswith("::stop-commands::")
    assert "hunter" not in shown
    assert "inside: [redacted]" in shown


def test_what_is_hidden_is_hidden_for_each_owner_until_it_is_replaced() -> None:

    hide("a", Redactor(["hunter2000"]).excerpt)
    hide("b", Redactor(["rabbit3000"]).excerpt)
    assert plain("hunter2000 rabbit3000") == "[redacted] [redacted]"
    hide("a", Redactor().excerpt)
    assert plain("hunter2000 rabbit3000") == "hunter2000 [redacted]"


def test_no_limit_leaves_a_part_of_a_secret() -> None:

    secret = "correct-horse-battery-st9"
    hide("a", Redactor([secret]).excerpt)
    for limit in range(10, 60):
        assert "corre" not in plain(f"it is {secret}, it is", limit=limit)
        assert "corre" not in plain("\x1b[1m" * 40 + f"it is {secret}", limit=limit)
