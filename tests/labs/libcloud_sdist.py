"""The answers of clouds that libcloud recorded: they are in its source distribution."""

from __future__ import annotations

from pathlib import Path

from tests.sdist import unpacked


def recorded_answers(cloud: str) -> Path:
    """The folder with the recorded answers of one compute driver, such as `gce`.

    Fails the test when pip cannot fetch them.
    """
    return unpacked("apache-libcloud", f"/compute/fixtures/{cloud}/", cloud)
