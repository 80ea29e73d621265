"""spotdeploy's own folder in a project: for its owner alone, out of git, and without links.

It may come with a repository that somebody else wrote, so nothing in it is taken for what
spotdeploy put there: a link could lead a key or a report anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spotdeploy.errors import HostError, RefusedError

NAME: Final = ".spotdeploy"
IGNORE: Final = ".gitignore"
_DEPTH: Final = 3
"""How deep files lie that are written more than once: `runs/ID/report.json`."""


def refuse_links(state: Path) -> None:
    """Refuse a folder of which a part that spotdeploy reads or writes by name is a link.

    Raises RefusedError with the path, HostError when it cannot be looked at.
    """
    try:
        found = next(_links(state, _DEPTH), None)
    except PermissionError as error:
        raise HostError(
            f"{error.filename or state} belongs to somebody else",
            hint="run it as the user who ran it here before, such as with sudo",
        ) from error
    except OSError as error:
        raise HostError(
            f"cannot read {state}: {error.strerror}", hint=f"see what keeps you: ls -laR {state}"
        ) from error
    if found is not None:
        raise RefusedError(
            f"{found} is a link, to {found.readlink()}; spotdeploy makes none there and follows "
            "none",
            hint="see who put it there, and remove it",
        )


def make_private(path: Path) -> None:
    """Make a folder, and what is missing above it, for its owner alone. Raises OSError."""
    if not path.is_dir():
        if not path.parent.is_dir():
            make_private(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def private_folder(path: Path) -> None:
    """The same; and the state folder that it is in, or is, becomes its owner's alone if it was not,
    and ignores itself in git."""
    make_private(path)
    for state in (path, *path.parents):
        if state.name == NAME:
            _settle(state)


def private(path: str, flags: int) -> int:
    """An opener for `open`: a new file is its owner's alone, and a link is not followed."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that is its owner's alone. Raises OSError."""
    with open(path, "wb", opener=private) as file:
        file.write(data)


def _settle(state: Path) -> None:
    status = state.stat()
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        state.chmod(0o700)
    ignore = state / IGNORE
    if not os.path.lexists(ignore):
        write_private(ignore, b"*\n")


def _links(path: Path, depth: int) -> Iterator[Path]:
    """The links among a path and what is below it."""
    if path.is_symlink():
        yield path
    elif depth >= 0 and path.is_dir():
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif depth and entry.is_dir(follow_symlinks=False):
                    yield from _links(Path(entry.path), depth - 1)
