"""Files of this computer that a check needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def missing_here(key: str, folder: Path, paths: Iterable[str]) -> str:
    """Which of these paths, relative to the folder of spotdeploy.toml, are not there; empty when
    all are."""
    found = ((path, folder / Path(path).expanduser()) for path in paths)
    absent = [path for path, place in found if not place.exists()]
    if not absent:
        return ""
    return f"{key}: {', '.join(absent)} does not exist in {folder.absolute()}"
