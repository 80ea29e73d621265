"""One account, one deployment, two homes: each with a folder, a journal and locks of its own."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines


class Person(Project):
    """A project in a home of its own."""

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.folder / "home")}


@pytest.fixture
def people(tmp_path: Path) -> Iterator[tuple[Person, Person]]:
    name = f"t-{secrets.token_hex(4)}"
    (tmp_path / "anna").mkdir()
    (tmp_path / "ben").mkdir()
    with (
        Person.opened(tmp_path / "anna", name) as anna,
        Person.opened(tmp_path / "ben", name) as ben,
    ):
        yield anna, ben
        ben.run("destroy", "--wait")


def test_two_cycles_at_once_are_one_that_passes_and_one_that_is_refused(
    people: tuple[Person, Person],
) -> None:
    anna, ben = people
    anna.entry("sleep 8")
    with anna.started("cycle") as running:
        running.until("ship done")
        second = ben.cycle()
        first = running.end()
    assert first.code == 0, first
    assert second.code == 2, second
    assert "is in use by run" in second.err
    assert "'spotdeploy cycle'" in second.err
    assert [node["name"] for node in anna.nodes()] == [node["name"] for node in ben.nodes()]
    assert anna.run("verify").code == 0


def test_one_that_waits_goes_on_after_the_other_and_makes_its_own(
    people: tuple[Person, Person],
) -> None:
    anna, ben = people
    anna.entry("sleep 8")
    with anna.started("cycle") as running:
        running.until("ship done")
        with ben.started("cycle", "--wait") as waiting:
            waiting.until("waiting for run")
            first, second = running.end(), waiting.end()
    assert (first.code, second.code) == (0, 0), (first, second)
    assert ben.run("verify").code == 0


def test_a_run_that_was_killed_blocks_its_own_home_not_at_all(
    people: tuple[Person, Person],
) -> None:
    anna, ben = people
    anna.entry("sleep 1000")
    with anna.started("cycle") as running:
        running.until("ship done")
        running.send(signal.SIGKILL)
        running.end()
    ben.write()
    refused = ben.run("destroy")
    assert refused.code == 2, refused
    assert "if it is dead: rm " in refused.err
    anna.entry("true")
    assert anna.cycle().code == 0
    assert ben.run("destroy").code == 0
