"""The examples in the documentation work."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CommandResult
from spotdeploy.config.load import decode
from spotdeploy.model import Node, NodeState
from spotdeploy.plugins import Plugins
from spotdeploy.testing import ScriptedConnection

NODE = Node("n-1", "node-1", "fake", "here", NodeState.RUNNING)


def blocks(repository: Path, language: str) -> list[tuple[str, str]]:
    """Each block of a language, with its page."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    pages = [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]
    return [(page.name, text) for page in pages for text in fence.findall(page.read_text())]


@pytest.fixture
def readings(repository: Path, tmp_path: Path) -> type[Check[Any]]:
    """The check that "Writing a check" writes in one file, loaded as a project would load it."""
    page = (repository / "docs/writing-a-check.md").read_text()
    (source,) = re.findall(
        r"^```python\n(\"\"\"`readings`.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/docs_readings.py").write_text(source)
    return Plugins(tmp_path).checks(["checks/docs_readings.py"])["readings"]


def test_every_python_example_compiles(repository: Path) -> None:
    found = blocks(repository, "python")
    assert len(found) > 3
    for page, text in found:
        compile(text, page, "exec")


def test_the_provider_for_podman_keeps_the_contract_and_is_clean(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spotdeploy-podman"
    shutil.copytree(repository / "docs/examples/spotdeploy-podman", folder)
    for command in (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy", "--cache-dir", str(tmp_path / "mypy")),
        ("spotdeploy", "plugins", "test", "./"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert " failed" not in done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 80


def test_every_table_of_a_check_is_one_that_the_check_takes(
    repository: Path, readings: type[Check[Any]]
) -> None:
    known = {**Plugins().checks(), readings.kind: readings}
    tables = [
        (page, table)
        for page, text in blocks(repository, "toml")
        for table in tomllib.loads(text).get("checks", ())
    ]
    assert len(tables) > 10
    for page, table in tables:
        decode(table, known[table["type"]].Settings, page)


@pytest.mark.parametrize(
    ("answer", "ok", "detail"),
    [
        (CommandResult(0, "5 /var/lib/x\n", ""), True, "5 readings"),
        (CommandResult(0, "4 /var/lib/x\n", ""), False, "only 4 readings"),
        (CommandResult(1, "", "wc: No such file\n"), False, "wc: No such file"),
        (CommandResult(0, "\x00\xff", ""), False, "wc did not tell"),
    ],
)
def test_the_check_of_one_file_answers_as_its_page_says(
    readings: type[Check[Any]], answer: CommandResult, ok: bool, detail: str
) -> None:
    settings = decode({"type": "readings", "at_least": 5}, readings.Settings, "docs")
    connection = ScriptedConnection({"^wc ": answer})
    result = asyncio.run(readings(settings).run(NODE, connection))
    assert (result.ok, result.detail) == (ok, detail)
