"""Finding the config from a folder below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spotdeploy.errors import RefusedError

NAME: Final = "spotdeploy.toml"


def find_config(start: Path, home: Path | None = None) -> Path | None:
    """The config that is meant in a folder: its own, or that of the nearest folder above it, as far
    as the root of the repository that it is in, or else below the `home` folder. None when there is
    none.

    What a config names may be run, so one above must be in a folder of the user's own. Raises
    RefusedError for one that is not, and looks no further.
    """
    if _is_there(start / NAME):
        return start / NAME
    for folder in _above(start, (home or Path.home()).resolve()):
        if _is_there(folder / NAME):
            _require_own(folder)
            return folder / NAME
    return None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _above(start: Path, home: Path) -> Iterator[Path]:
    """The folders above that may have it, the nearest first."""
    above = list(start.parents)
    for depth, folder in enumerate([start, *above]):
        if _is_there(folder / ".git"):
            yield from above[:depth]
            return
    if home in above:
        yield from above[: above.index(home)]


def _require_own(folder: Path) -> None:
    """Refuse a config that somebody else may have put there."""
    for path in (folder, folder / NAME):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            why = "is a link"
        elif status.st_uid not in _ours():
            why = "belongs to somebody else"
        elif status.st_mode & stat.S_IWOTH:
            why = "can be written by everybody"
        else:
            continue
        raise RefusedError(
            f"{folder / NAME} is not used unasked: {path} {why}",
            hint=f"see what it says, and name it: --config {folder / NAME}",
        )


def _ours() -> set[int]:
    """The user, and with sudo the one who called it."""
    ours = {os.geteuid()}
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_UID", "")).isdecimal():
        ours.add(int(caller))
    return ours
