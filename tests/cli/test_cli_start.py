"""Starting is quick, and each command is described by one text."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy import cli

NEVER = ("libcloud", "asyncssh", "botocore", "jinja2", "asyncio", "pydantic", "watchfiles")


def output(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_starting_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "spotdeploy.toml").write_text('deployment = "start"\nproviders = ["fake"]\n')
    script = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from spotdeploy.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {NEVER!r} if name in sys.modules])"
    )
    assert output("-c", script, folder=tmp_path).splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_commands_summary_is_the_first_line_of_its_own_help(name: str) -> None:
    module = cli._module(name)
    group = name in cli.GROUPS
    function = module.group().registered_callback.callback if group else module.command
    assert (inspect.getdoc(function) or "").splitlines()[0] == cli.COMMANDS[name]


def test_the_whole_text_of_a_command_is_in_its_help() -> None:
    shown = " ".join(output("-m", "spotdeploy", "reap", "--help").split())
    assert "whose time to live ended 10 minutes ago" in shown
    assert "Touches nothing without spotdeploy's labels" in shown
