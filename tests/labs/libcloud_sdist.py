"""The answers of clouds that libcloud recorded: they are in its source distribution, which pip
fetches once into a cache."""

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


def recorded_answers(cloud: str) -> Path:
    """The folder with the recorded answers of one compute driver, such as `gce`.

    Fails the test when pip cannot fetch them.
    """
    wanted = version("apache-libcloud")
    folder = CACHE / f"apache-libcloud-{wanted}-{cloud}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(CACHE / f"apache-libcloud-{wanted}.lock"):
        if not folder.exists():
            _unpack(_archive(wanted), f"/compute/fixtures/{cloud}/", folder)
    return folder


def _archive(wanted: str) -> Path:
    archive = CACHE / f"apache_libcloud-{wanted}.tar.gz"
    if not archive.exists():
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:",
            "--no-deps", "--dest", str(CACHE), f"apache-libcloud=={wanted}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if not archive.exists():
            pytest.fail(f"pip cannot fetch libcloud's source, which has the answers: {done.stderr}")
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
