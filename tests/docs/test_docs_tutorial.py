"""The tutorial is a session that works: its commands are run one after the other, on machines of
this computer, and each line that it shows is among those that they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUN = re.compile(r"\d{8}-\d{6}(?:-[0-9a-f]{6})?")
ADDRESS = re.compile(r"127\.77\.\d+\.\d+")
VARIES = re.compile(
    r"(?P<evidence>local-hello-\d-[0-9a-f]{6})|(?P<digest>\b[0-9a-f]{12}\b)"
    r"|(?P<number>\d+(?:[.:T-]\d+)*(?:ms|[smhdZ])?(?:\d+[smh])*)"
)
"""What is another one each time: names with digests, and whatever has digits."""
COMMAND_SECONDS = 300

pytestmark = [pytest.mark.machines, pytest.mark.timeout(900)]


class Step(NamedTuple):
    """A command of the page, and what it shows of its output."""

    command: str
    shown: list[str]


def steps() -> Iterator[Step]:
    for block in BLOCK.findall(PAGE.read_text("utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield Step(command, shown)


def pattern(line: str) -> re.Pattern[str]:
    """A line of the page, for what it may be on another day: `...` is anything."""
    pieces = []
    for piece in line.split("..."):
        fixed = re.split(VARIES, RUN.sub("0", piece))
        texts = fixed[:: VARIES.groups + 1]
        pieces.append(r"[\w:.+-]+".join(re.sub(r"(\\ )+", r"\\s+", re.escape(t)) for t in texts))
    return re.compile(".*".join(pieces).strip() or ".*")


def lines(text: str) -> list[str]:
    """The lines of an output, those joined that a screen would break as well."""
    found = text.splitlines()
    return [*found, " ".join(line.strip() for line in found)]


class Done(NamedTuple):
    """What came of a command."""

    output: str
    code: int
    place: str
    """The folder that the shell is in then."""


def run(command: str, code: int, place: str, note: Path) -> Done:
    """Run a command as the shell of a session would, after one that ended with `code`."""
    done = subprocess.run(
        ["bash", "-c", f"cd {place}; (exit {code})\n{command}\necho $? $PWD > {note}"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    ended, there = note.read_text().split()
    return Done(done.stdout, int(ended), there)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Path]:
    """The folder that the session begins in. Nothing of its deployment stays, whatever fails."""
    (tmp_path / "session").mkdir()
    yield tmp_path / "session"
    if (project := tmp_path / "session" / "hello").exists():
        run("spotdeploy destroy", 0, str(project), tmp_path / "note")


def test_each_command_prints_what_the_tutorial_shows(session: Path, tmp_path: Path) -> None:
    code, place = 0, str(session)
    known: dict[str, str] = {}
    for step in steps():
        command = RUN.sub(lambda found: known[found[0][:15]], step.command)
        command = ADDRESS.sub(lambda found: known[found[0]], command)
        command = re.sub(r"(local-hello-1-)[0-9a-f]{6}", r"\1*", command)
        done = run(command, code, place, tmp_path / "note")
        code, place = done.code, done.place
        for shown in filter(None, map(str.strip, step.shown)):
            found = [line for line in lines(done.output) if pattern(shown).search(line)]
            assert found, f"$ {command}\nprints no {shown!r}:\n{done.output}"
            if begun := re.match(r"\w+ of hello on local, run (\d{8}-\d{6})", shown):
                known[begun[1]] = found[0].rpartition(" ")[2]
            if address := ADDRESS.search(shown):
                known[address[0]] = ADDRESS.findall(found[0])[0]
