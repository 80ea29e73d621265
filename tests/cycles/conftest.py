"""Projects for cycles on real machines."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from project import Project  # the folder was just put on the path


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a deployment name of its own, destroyed at the end."""
    with Project.opened(tmp_path, f"t-{secrets.token_hex(4)}") as project:
        yield project
