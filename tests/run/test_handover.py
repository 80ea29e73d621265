"""A file of access on a disk that has no room for it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.errors import HostError
from spotdeploy.run import handover


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be longer than ten bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handled)


@pytest.mark.usefixtures("small_files")
def test_half_a_file_is_not_left(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write .*access\.json: File too large"):
        handover._write(tmp_path / "access.json", b"x" * 1000)
    assert list(tmp_path.iterdir()) == []
