"""The quick answers are the command line's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy import quick
from spotdeploy.plugins import BUNDLED, Registry

NEVER = ("libcloud", "asyncssh", "botocore", "jinja2", "rich", "asyncio", "pydantic", "watchfiles")
PROPER = (
    "import sys; from spotdeploy.cli import build_app; "
    "build_app(sys.argv[1:])(prog_name='spotdeploy')"
)


def output(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, cwd=folder,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "spotdeploy.toml").write_text('deployment = "quick"\nproviders = ["fake"]\n')
    return tmp_path


def test_the_stored_help_is_the_command_lines_own() -> None:
    proper = output("-c", PROPER, "--help")
    assert output("-m", "spotdeploy", "--help") == quick.HELP.read_text() == proper


@pytest.mark.parametrize(
    "options", [[], ["--json"], ["-p", "fake"], ["--config", "spotdeploy.toml"]]
)
def test_a_plain_list_is_answered_as_the_command_line_does(
    project: Path, options: list[str]
) -> None:
    assert quick.listing(["list", *options]) is not None
    proper = output("-c", PROPER, "list", *options, folder=project)
    assert output("-m", "spotdeploy", "list", *options, folder=project) == proper


@pytest.mark.parametrize(
    "arguments",
    [[], ["cycle"], ["-v", "list"], ["list", "-h"], ["list", "extra"], ["list", "--provider"],
     ["list", "--provider", "--json"], ["list", "--providr", "x"], ["list", "--provider=x"]],
)  # fmt: skip
def test_everything_else_goes_to_the_command_line_proper(arguments: list[str]) -> None:
    assert quick.listing(arguments) is None


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_starting_imports_nothing_heavy(project: Path, arguments: list[str]) -> None:
    loaded = output("-X", "importtime", "-c", "pass")
    assert loaded == ""
    script = (
        f"import sys; sys.argv[1:] = {arguments!r}; from spotdeploy.__main__ import main; main();"
    )
    script += f" print([name for name in {NEVER!r} if name in sys.modules])"
    assert output("-c", script, folder=project).splitlines()[-1] == "[]"


def test_the_bundled_plugins_are_the_installed_entry_points() -> None:
    ours = {p.name: p.value for p in Registry().known() if p.dist and p.dist.name == "spotdeploy"}
    assert ours == BUNDLED
