"""Projects for cycles on real machines."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cycles.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a deployment name of its own, destroyed at the end."""
    with Project.opened(tmp_path, f"t-{secrets.token_hex(4)}") as project:
        yield project
