"""Files of source distributions, which pip fetches once into a cache."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import filelock
import pytest
from platformdirs import user_cache_path

CACHE = user_cache_path("spotdeploy-tests")
"""Taken when this module is read, before each test gets a home of its own."""


def unpacked(project: str, inside: str, name: str) -> Path:
    """A folder with the files of an installed project's source whose path has `inside`; `name`
    tells it from other folders of that project.

    Fails the test when pip cannot fetch the source.
    """
    desired = version(project)
    folder = CACHE / f"{project}-{desired}-{name}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(CACHE / f"{project}-{desired}.lock"):
        if not folder.exists():
            _unpack(_archive(project, desired), inside, folder)
    return folder


def _archive(project: str, desired: str) -> Path:
    archive = CACHE / f"{project.replace('-', '_')}-{desired}.tar.gz"
    if not archive.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-binary",
            ":all:",
            "--no-deps",
            "--dest",
            str(CACHE),
            f"{project}=={desired}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if not archive.exists():
            pytest.fail(f"pip cannot fetch the source of {project}: {done.stderr}")
    return archive


def _unpack(archive: Path, inside: str, folder: Path) -> None:
    part = folder.with_suffix(".part")
    part.mkdir(exist_ok=True)
    with tarfile.open(archive) as opened:
        for member in opened:
            content = opened.extractfile(member) if inside in member.name else None
            if content is not None:
                (part / Path(member.name).name).write_bytes(content.read())
    part.rename(folder)
