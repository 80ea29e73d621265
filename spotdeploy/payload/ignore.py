"""What is left out of a payload: `.spotdeployignore` files, by gitignore's rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotdeploy.errors import ConfigError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

FILE: Final = ".spotdeployignore"
NEVER: Final = frozenset({".git", ".spotdeploy", FILE})
"""Names that are left out at any depth, whatever a file says."""
LITTER: Final = frozenset({"__pycache__", ".DS_Store"})
"""Names that are left out unless a file takes them in again."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules that hold in one folder: those of its own file, and of the folders above it."""

    _rules: tuple[tuple[str, GitIgnoreSpec], ...] = ()
    """Folder to what its file says, the deepest first: that one decides."""

    @classmethod
    def above(cls, root: Path, top: Path | None) -> Ignore:
        """The rules that hold for `root`: of `top` and the folders between, where it lies below."""
        ignore = cls()
        if top is not None and root != top and root.is_relative_to(top):
            for folder in (*_between(top, root),):
                ignore = ignore.inside(folder)
        return ignore

    def inside(self, folder: Path) -> Ignore:
        """The rules inside a folder. Raises ConfigError for a file that cannot be understood."""
        file = folder / FILE
        try:
            lines = os.fsdecode(file.read_bytes()).splitlines()
        except FileNotFoundError:
            return self
        except OSError as error:
            raise ConfigError(
                f"cannot read {file}: {error.strerror}",
                hint="make it a file that you can read, or remove it",
            ) from error
        return Ignore(((f"{folder}/", _spec(file, lines)), *self._rules))

    def leaves_out(self, path: str, name: str, *, folder: bool) -> bool:
        """Whether a path of this folder, with its name, is left out."""
        if name in NEVER:
            return True
        for base, spec in self._rules:
            below = path[len(base) :]
            left_out = spec.check_file(f"{below}/" if folder else below).include
            if left_out is not None:
                return left_out
        return name in LITTER


def _between(top: Path, root: Path) -> Iterator[Path]:
    """`top` and the folders from there to `root`, without `root` itself."""
    yield top
    for part in root.relative_to(top).parts[:-1]:
        top = top / part
        yield top


def _spec(file: Path, lines: list[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # takes longer than all else when there is no such file

    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError as error:
            raise ConfigError(
                f"{file}, line {number}: {line!r} is no pattern", hint="write it as in a .gitignore"
            ) from error
    return GitIgnoreSpec.from_lines(lines)
