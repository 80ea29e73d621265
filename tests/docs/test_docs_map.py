"""The pictures of the floors show the floors that the imports are held to."""

from __future__ import annotations

import re
from pathlib import Path

from docs.generate import architecture
from tests.test_floors import FLOORS


def test_the_picture_has_the_floors_in_their_order() -> None:
    drawn = [set(rooms) for rooms, _ in reversed(architecture.FLOORS)]
    beside = set(architecture.BESIDE[0])
    assert drawn == [set(floor) - beside for floor in FLOORS]


def test_the_map_for_contributors_names_every_room(repository: Path) -> None:
    page = (repository / "CONTRIBUTING.md").read_text()
    drawing = page.partition("```mermaid\n")[2].partition("```")[0]
    labels = re.findall(r"\[([^\]:]+)", drawing)
    drawn = {room for label in labels for room in label.split(" · ")}
    assert [room for floor in FLOORS for room in floor if room not in drawn] == []
