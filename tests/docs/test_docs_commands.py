"""What the documentation tells people to type is what the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from spotdeploy.cli import COMMANDS, build_app

FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TYPED = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(spotdeploy [a-z-].*)$", re.MULTILINE)
INLINE = re.compile(r"`spotdeploy ([a-z]+)")


def pages(repository: Path) -> list[Path]:
    found = [repository / "README.md", *(repository / "docs").rglob("*.md")]
    return [page for page in found if "reference" not in page.parts]


def typed(page: Path) -> list[list[str]]:
    """The words after `spotdeploy` of each command line in a page's blocks."""
    blocks = "\n".join(FENCED.findall(page.read_text()))
    return [shlex.split(line, comments=True)[1:] for line in TYPED.findall(blocks)]


def parse(words: list[str]) -> None:
    """Read a command line as the program does, and run nothing."""
    command = typer.main.get_command(build_app(words))
    while words and (below := getattr(command, "commands", None)):
        if words[0] not in below:
            raise ValueError(f"no command {words[0]}")
        command, words = below[words[0]], words[1:]
    command.make_context("spotdeploy", list(words))


def test_every_command_line_in_the_documentation_is_one_the_program_takes(
    repository: Path,
) -> None:
    lines = [(page.name, words) for page in pages(repository) for words in typed(page)]
    assert len(lines) > 40
    for page, words in lines:
        try:
            parse(words)
        except Exception as error:
            raise AssertionError(f"{page}: spotdeploy {shlex.join(words)}: {error!r}") from error


def test_every_command_that_the_documentation_names_exists(repository: Path) -> None:
    named = {name for page in pages(repository) for name in INLINE.findall(page.read_text())}
    assert named - set(COMMANDS) == set()
    assert len(named) > 10


@pytest.mark.parametrize("wrong", ["cycle --nonsense", "cycles", "plugins newer acme", "diff"])
def test_a_command_line_that_the_program_refuses_would_be_found(wrong: str) -> None:
    with pytest.raises(Exception, match=r"nonsense|cycles|newer|Missing"):
        parse(wrong.split())
