"""The catalogue of error messages: what people get wrong, and what they are told.

`approved.txt` has each of the cases, in the words that people see.
`python -m tests.messages.catalogue` writes it anew; what changed in it is read before it is
committed.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from spotdeploy.__main__ import main
from spotdeploy.cli.errors import show
from spotdeploy.errors import SpotdeployError

REPOSITORY: Final = Path(__file__).parents[2]
APPROVED: Final = Path(__file__).with_name("approved.txt")
KINDS: Final = ("ConfigError", "HostError", "PluginError", "RefusedError")
"""The errors for which the user, or this computer, is to blame."""
ELSEWHERE: Final = ("live", "scaffold", "testing")
"""Rooms whose messages are for authors of plugins; their tests have them."""
BASE: Final = 'deployment = "demo"\nproviders = ["fake"]\n'
PAYLOAD: Final = '[payload]\nentry = "e.sh"\n'
NONE_MADE: Final = "# Made by no case here"
VARYING: Final = (
    (r"\b20\d{6}-\d{6}-[0-9a-f]{6}\b", "RUN"),
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\b", "TIME"),
    (r"\bpid \d+ on \S+, since", "pid PID on HOST, since"),
    (r"\bbegun \S+ ago", "begun SPAN ago"),
    (r"\bfor \S+ more at most", "for SPAN more at most"),
    (r"\bthis process may have \d+", "this process may have LIMIT"),
    (r"\buser-data is \d+ bytes", "user-data is SIZE bytes"),
)
"""What is another one in each run or on each computer, and what stands for it."""
Step = str | Callable[[], object]
"""A command line without its first word, or a function; both run in the project's folder."""


@dataclass(frozen=True)
class Case:
    """A mistake."""

    what: str
    """In a few words."""
    more: str = ""
    """What follows in the config."""
    command: Step = "plan"
    top: str = BASE
    payload: str = PAYLOAD
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """Path to content; a path that ends with / is a folder."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Path to where it leads."""
    modes: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    config: str | bytes | None = None
    """The whole config, in place of `top`, `payload` and `more`."""
    first: Sequence[Step] = ()
    """What went before, in this order."""
    held: Callable[[], AbstractContextManager[object]] = nullcontext
    """What is so while the command runs, and no longer."""

    def text(self) -> str | bytes:
        """The config."""
        return self.config if self.config is not None else self.top + self.payload + self.more


@dataclass
class Said:
    """What came of a case."""

    code: object
    text: str


def play(case: Case, folder: Path) -> Said:
    """Run the command in a folder that has what the case says."""
    prepare(case, folder)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **case.variables}
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(sys, "path", [*sys.path]),
        contextlib.chdir(folder),
    ):
        for step in case.first:
            perform(step)
        with case.held():
            said = perform(case.command)
    _forget_modules(folder)
    return Said(said.code, stable(said.text, folder))


def perform(step: Step) -> Said:
    """Take one step. What it said is its errors, or where there are none what it printed."""
    written = io.BytesIO(), io.BytesIO()
    err, out = (io.TextIOWrapper(one, "utf-8", write_through=True) for one in written)
    code: object = 0
    argv = ["spotdeploy", *step.split()] if isinstance(step, str) else sys.argv
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys.modules["__main__"], "__package__", None),  # as of a script
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            (main if isinstance(step, str) else step)()
        except SpotdeployError as error:  # of a function
            show(error)
            code = error.exit_code
        except SystemExit as end:
            code = end.code
    errors, printed = (one.getvalue().decode() for one in written)
    return Said(code, errors or printed)


def stable(text: str, folder: Path) -> str:
    """A text as it is on every computer and in every run."""
    text = text.replace(str(folder), "FOLDER")
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


def prepare(case: Case, folder: Path) -> None:
    """Write the project, as a repository of its own."""
    (folder / ".git").mkdir()
    (folder / "home").mkdir(mode=0o700)
    (folder / "instance").mkdir()
    (folder / "instance" / "e.sh").write_text("true\n")
    text = case.text()
    if text:
        (folder / "spotdeploy.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, target in case.links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    for name, mode in case.modes.items():
        (folder / name).chmod(mode)


def _forget_modules(folder: Path) -> None:
    """Those of a project's own plugins: the next case has others of the same name."""
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and Path(file).is_relative_to(folder):
            del sys.modules[name]


@dataclass(frozen=True, order=True)
class Site:
    """A place that makes an error."""

    file: str
    line: int
    words: str = field(compare=False)


def sites() -> list[Site]:
    """Every one of the core."""
    found = []
    for file in sorted((REPOSITORY / "spotdeploy").rglob("*.py")):
        name = file.relative_to(REPOSITORY)
        if name.parts[1] in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if made and node.func.id in KINDS and node.args:  # type: ignore[attr-defined]
                words = _words(node.args[0])  # type: ignore[attr-defined]
                found.append(Site(str(name), node.lineno, words))  # type: ignore[attr-defined]
    return found


def _words(message: ast.expr) -> str:
    """The fixed parts of a message."""
    text = ast.unparse(message)
    return re.sub(r"\s+", " ", re.sub(r"^f?['\"]+|['\"]+$", "", text))[:100]


@contextlib.contextmanager
def recorded() -> Iterator[set[tuple[str, int]]]:
    """The places that made an error in the block."""
    seen: set[tuple[str, int]] = set()
    original: Callable[..., None] = SpotdeployError.__init__

    def remember(self: SpotdeployError, *arguments: Any, **keys: Any) -> None:
        frame = sys._getframe(1)
        while "__init__" in frame.f_code.co_name and frame.f_back:
            frame = frame.f_back
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(REPOSITORY):
            seen.add((str(file.relative_to(REPOSITORY)), frame.f_lineno))
        original(self, *arguments, **keys)

    with mock.patch.object(SpotdeployError, "__init__", remember):
        yield seen


def render(cases: Sequence[Case]) -> str:
    """The catalogue: each case, and at its end the messages that no case makes."""
    blocks = []
    with recorded() as seen:
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                said = play(case, Path(folder).resolve())
                _make_removable(Path(folder))
            blocks.append(f"## {case.what}\n{said.text.rstrip()}\n(exit code {said.code})\n")
    missing = [one for one in sites() if (one.file, one.line) not in seen]
    rest = [f"{one.file.removeprefix('spotdeploy/')}: {one.words}" for one in missing]
    return "\n".join([*blocks, NONE_MADE, *rest]) + "\n"


def _make_removable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(stat.S_IRWXU)


if __name__ == "__main__":
    from tests.messages import cases

    APPROVED.write_text(render(cases.CASES), "utf-8")
