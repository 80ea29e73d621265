"""Sessions over a fake cloud."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import World  # the folder was just put on the path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds: a fake cloud, a journal and a run each."""
    made: list[World] = []

    def make(**options: object) -> World:
        made.append(World(tmp_path / str(len(made)), **options))  # type: ignore[arg-type]  # options
        return made[-1]

    yield make
    for one in made:
        one.run.close()
