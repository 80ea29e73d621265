"""The cells that ever began here, so that one which is taken out of the matrix is still destroyed.

Each is a small file beside the deployment's keys, on disk before anything is made for it and there
until it was destroyed with proof. Its machines have the labels of its own name, as those of every
deployment: where these files are lost, `spotdeploy reap` finds them once they have expired.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.errors import cannot
from spotdeploy.matrix.cells import Cell, Value, is_cell_of
from spotdeploy.project import Project
from spotdeploy.state.folder import private_folder, write_private

FOLDER: Final = "cells"


class Former(msgspec.Struct, frozen=True):
    """What is known of a cell without the config."""

    values: dict[str, Value] = {}
    providers: tuple[str, ...] = ()
    """Where its nodes came from."""


def has_cells(project: Project) -> bool:
    """Whether a project is a matrix, or was one of which cells may be left."""
    return project.config.matrix is not None or bool(known(project))


def remember(project: Project, cell: Cell, providers: tuple[str, ...]) -> None:
    """Note a cell that is about to begin, with its providers. `project` is the matrix's, here and
    below. Raises HostError."""
    if cell.name == project.deployment:
        return  # every config finds that one
    folder = folder_of(project)
    path = _file(folder, cell.name)
    try:
        private_folder(folder)
        every = tuple(dict.fromkeys((*_read(path).providers, *providers)))
        _write(path, Former(dict(cell.values), every))
        _sync(folder)
    except OSError as error:
        raise cannot(f"write {path}", error, then="nothing is created without it") from error


def known(project: Project) -> dict[str, Former]:
    """The cells that ever began and were not forgotten, by name. One of which the file makes no
    sense is known by its name alone; one that no cell of this deployment can have is passed over.
    """
    files = sorted(folder_of(project).glob("*.json"))
    ours = (path for path in files if is_cell_of(project.deployment, path.stem))
    return {path.stem: _read(path) for path in ours}


def forget(project: Project, name: str, providers: Iterable[str]) -> None:
    """Forget a cell of which nothing is left with these providers, unless it had others too. May be
    repeated."""
    folder = folder_of(project)
    path = _file(folder, name)
    if set(_read(path).providers) <= set(providers):
        with suppress(OSError):  # it is then destroyed once more
            path.unlink(missing_ok=True)
            folder.rmdir()  # once it is empty


def folder_of(project: Project) -> Path:
    """Where they are."""
    return project.keys_folder / FOLDER


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(path: Path) -> Former:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Former)
    except (OSError, msgspec.MsgspecError):
        return Former()


def _write(path: Path, former: Former) -> None:
    """Replace the file at once and for good."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    write_private(part, msgspec.json.encode(former))
    _sync(part)
    part.replace(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
