"""A disk that fills up during a run never costs a machine, and never changes a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spotdeploy.cycle.runbook import run_create, run_cycle
from spotdeploy.errors import HostError
from spotdeploy.model import Verdict
from spotdeploy.node import keys
from spotdeploy.state.journal import Journal
from tests.fake_project import FakeProject, keeping

FakeProjects = Callable[..., FakeProject]


@pytest.fixture
def full_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the journal's disk be full from the first call of one of its methods on."""

    def fill(method: str) -> None:
        real = getattr(Journal, method)

        def first(journal: Journal, *given: Any) -> Any:
            journal._db.execute("PRAGMA query_only = ON")
            return real(journal, *given)

        monkeypatch.setattr(Journal, method, first)

    return fill


async def test_a_run_that_cannot_note_what_it_intends_is_refused_and_made_nothing(
    fake_project: FakeProjects, full_from: Callable[[str], None]
) -> None:
    here = fake_project()
    full_from("record_intent")
    with pytest.raises(HostError, match="cannot write the journal"):
        await run_create(keeping(here.run, "never"))
    assert here.cloud.count("create") == 0


async def test_a_run_that_cannot_note_what_it_made_ends_it_and_failed(
    fake_project: FakeProjects, full_from: Callable[[str], None]
) -> None:
    here = fake_project()
    full_from("resolve_intent")
    outcome = await run_cycle(keeping(here.run, "never"))
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "cannot write the journal" in outcome.message
    assert here.existing() == 0


def test_keys_that_cannot_be_written_are_an_error_of_this_host(here: FakeProject) -> None:
    (here.folder / "file").write_text("")
    with pytest.raises(HostError, match="cannot write the ssh keys"):
        keys.make(here.folder / "file" / "demo", "demo")


@pytest.fixture
def here(fake_project: FakeProjects) -> FakeProject:
    return fake_project()
