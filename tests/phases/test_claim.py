"""Two people, one account, one deployment: who may change it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.cycle.policy import Progress, end_by_policy
from spotdeploy.cycle.runbook import run_destroy
from spotdeploy.errors import RefusedError
from spotdeploy.events import Note
from spotdeploy.model import DEFAULT_GROUP, Verdict
from spotdeploy.phases.claim import claimed
from spotdeploy.phases.destroy import destroy
from spotdeploy.run.context import Run
from spotdeploy.state.ids import new_run_id
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault
from tests.fake_project import FakeProject, keeping

FakeProjects = Callable[..., FakeProject]


class People:
    """Runs from homes of their own, on one cloud."""

    def __init__(self, here: FakeProject, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.here = here
        self.cloud = here.cloud
        self._folder = folder
        self._patch = patch

    def run(self, home: str) -> Run:
        """A run of that home, which is the present one from now on."""
        self._patch.setenv("XDG_STATE_HOME", str(self._folder / home))
        run = self.here.new_run(new_run_id())
        run.journal.close()
        self.here.run = replace(run, journal=Journal(self._folder / home / "journal.db"))
        return self.here.run

    def claims(self) -> list[dict[str, str]]:
        """The labels of the claims that the cloud has."""
        places = self.here.config.locations
        found = [one for place in places for one in self.cloud.list_things(place, labels.anyones())]
        return [thing.labels for thing in found if labels.CLAIM in thing.labels]

    def age(self, seconds: float) -> None:
        """Have all claims run out that long ago."""
        for place in self.here.config.locations:
            for thing in self.cloud.list_things(place, {labels.CLAIM: labels.ANY}):
                self.cloud.release(place, [thing.id])
                self.cloud.claim(
                    place, {**thing.labels, labels.EXPIRES: str(int(time.time() - seconds))}
                )

    def told(self, *, warning: bool = True) -> list[str]:
        """What the runs have warned of, or noted."""
        heard = self.here.ears.received
        return [one.text for one in heard if isinstance(one, Note) and one.warning == warning]


@pytest.fixture
def people(fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    return People(fake_project(count=2, locations=("here", "there")), tmp_path, monkeypatch)


async def test_a_second_home_is_refused_before_it_destroys_and_told_whom_to_wait_for(
    people: People,
) -> None:
    first = people.run("anna")
    async with claimed(first, "cycle"):
        await people.here.create()
        with pytest.raises(RefusedError) as refused:
            await run_destroy(people.run("ben"))
    assert refused.value.message.startswith(f"demo is in use by run {first.id} ('spotdeploy cycle'")
    assert " on " in refused.value.message
    assert "more at most" in refused.value.message
    assert "--wait" in str(refused.value.hint)
    assert "remove claim-" in str(refused.value.hint)
    assert people.here.machines() == 2
    assert people.cloud.count("destroy") == 0
    assert people.claims() == []


async def test_with_wait_a_second_home_goes_on_once_the_first_run_has_ended(people: People) -> None:
    first, second = people.run("anna"), people.run("ben")
    held = asyncio.Event()

    async def work() -> None:
        people.run("anna")
        async with claimed(first, "cycle"):
            held.set()
            await asyncio.sleep(0.5)
            assert second.id not in {one[labels.RUN] for one in people.claims()}

    task = asyncio.create_task(work())
    await held.wait()
    people.run("ben")
    async with claimed(second, "destroy", wait=True):
        assert task.done()
        assert {one[labels.RUN] for one in people.claims()} == {second.id}
    await task
    assert people.claims() == []
    waiting = [text for text in people.told(warning=False) if text.startswith("waiting for")]
    assert len(waiting) == 1
    assert first.id in waiting[0]


async def test_a_run_of_the_same_home_that_died_is_taken_over_at_once(people: People) -> None:
    died = people.run("anna")
    await claimed(died, "cycle").__aenter__()
    outcome = await run_destroy(people.run("anna"))
    assert outcome.verdict is Verdict.PASSED
    assert people.claims() == []


async def test_a_run_that_died_elsewhere_blocks_until_its_claim_has_run_out(people: People) -> None:
    await claimed(people.run("anna"), "cycle").__aenter__()
    with pytest.raises(RefusedError):
        await run_destroy(people.run("ben"))
    people.age(5)
    assert (await run_destroy(people.run("ben"))).verdict is Verdict.PASSED
    assert people.claims() == []


async def test_what_a_claim_holds_for_is_bounded_by_the_timeouts_of_its_run(people: People) -> None:
    run = people.run("anna")
    timeouts = run.config.timeouts
    phases = timeouts.boot + timeouts.ship + timeouts.deploy + timeouts.reboot
    async with claimed(run, "cycle"):
        (until,) = {float(one[labels.EXPIRES]) for one in people.claims()}
    assert time.time() + phases < until < time.time() + 2 * phases


@pytest.mark.parametrize("error", [RecursionError, asyncio.CancelledError])
async def test_a_claim_is_given_back_whatever_ends_the_run(
    people: People, error: type[BaseException]
) -> None:
    async def work() -> None:
        async with claimed(people.run("anna"), "cycle"):
            assert len(people.claims()) == 2
            raise error

    with pytest.raises(error):
        await work()
    assert people.claims() == []


async def test_half_of_the_claims_are_given_back_when_another_home_has_the_rest(
    people: People,
) -> None:
    held = labels.for_claim("demo", new_run_id(), "other", "cycle", "host", time.time() + 60)
    people.cloud.claim("there", held)
    with pytest.raises(RefusedError):
        await run_destroy(people.run("anna"))
    assert people.claims() == [held]


@pytest.mark.parametrize(
    "fault",
    [
        faults.Outage(call="claim", times=0),
        faults.ExpiredCredentials(call="claim"),
        faults.Bug(call="claim", times=0),
        faults.LostReply(call="claim", times=2),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_cloud_that_gives_no_claim_is_told_of_and_keeps_nobody_from_destroying(
    people: People, fault: AnyFault
) -> None:
    people.run("anna")
    await people.here.create()
    people.cloud.script(fault)
    outcome = await run_destroy(people.run("anna"))
    assert outcome.verdict is Verdict.PASSED
    assert people.here.machines() == 0
    assert [text for text in people.told() if "no claim could be made in fake here" in text]
    assert people.claims() == []


@pytest.mark.parametrize(
    "fault",
    [
        faults.Bug(call="release", times=2),
        faults.StuckResource(),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_dead_claim_that_cannot_be_deleted_keeps_nobody_from_destroying(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: AnyFault
) -> None:
    people = People(fake_project(count=2, patience="1s"), tmp_path, monkeypatch)
    people.run("anna")
    await people.here.create()
    dead = labels.for_claim("demo", new_run_id(), "other", "cycle", "host", time.time() - 60)
    people.cloud.claim("here", dead)
    people.cloud.script(fault)
    await run_destroy(people.run("ben"))
    assert people.here.machines() == 0
    assert [text for text in people.told() if "no claim could be made in fake here" in text]


async def test_a_claim_whose_deletion_fails_at_first_is_given_back(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(fake_project(patience="5s"), tmp_path, monkeypatch)
    async with claimed(people.run("anna"), "cycle"):
        people.cloud.script(faults.Outage(call="release", times=3))
    assert people.claims() == []
    assert not [text for text in people.told() if "no claim" in text]


async def test_a_claim_that_may_have_been_made_is_asked_for_until_the_cloud_answers(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(fake_project(patience="5s"), tmp_path, monkeypatch)
    people.cloud.script(faults.LostReply(call="claim", times=1))
    people.cloud.script(faults.Outage(call="claim", times=3))
    async with claimed(people.run("anna"), "cycle"):
        pass
    assert people.claims() == []


async def test_a_cloud_that_never_says_whether_a_claim_was_made_is_told_of(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(fake_project(patience="1s"), tmp_path, monkeypatch)
    people.cloud.script(faults.Outage(call="claim", times=0))
    async with claimed(people.run("anna"), "cycle"):
        pass
    words = "no claim could be given back in fake here: the cloud does not say whether one was made"
    assert words in people.told()


async def test_a_claim_that_came_of_a_call_without_an_answer_is_given_back(
    fake_project: FakeProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(fake_project(patience="1s"), tmp_path, monkeypatch)
    people.cloud.script(faults.SlowCall(call="claim", seconds=3.0))
    started = time.monotonic()
    async with claimed(people.run("anna"), "cycle"):
        assert time.monotonic() - started < 2.8
        while not people.claims():
            assert time.monotonic() - started < 20
            await asyncio.sleep(0.1)
    assert people.claims() == []


async def test_a_claim_that_has_run_out_is_not_given_back(people: People) -> None:
    first = people.run("anna")
    theirs = labels.for_claim("demo", new_run_id(), "other", "cycle", "host", time.time() + 60)
    async with claimed(first, "cycle"):
        people.age(1)
        for place in people.here.config.locations:
            for thing in people.cloud.list_things(place, {labels.CLAIM: labels.ANY}):
                people.cloud.release(place, [thing.id])
            people.cloud.claim(place, theirs)
    assert people.claims() == [theirs, theirs]


async def test_at_its_end_a_run_destroys_its_own_nodes_and_names_the_others(people: People) -> None:
    first = people.run("anna")
    theirs = {node.id for node in (await people.here.create()).nodes}
    second = keeping(people.run("ben"), "never")
    mine = {node.id for node in (await people.here.create()).nodes}
    progress = Progress(created={DEFAULT_GROUP: 2})
    await end_by_policy(second, progress)
    (receipt,) = progress.receipts
    assert receipt.clean
    assert {node.id for node in receipt.destroyed} == mine
    assert {id_ for id_ in people.cloud.billed() if id_.startswith("m-")} == theirs
    (others,) = {text for text in people.told() if "stay in fake here" in text}
    assert first.id in others


async def test_the_others_groups_stay_with_their_nodes(people: People) -> None:
    people.run("anna")
    await people.here.create()
    before = set(people.cloud.billed())
    second = people.run("ben")
    await people.here.create()
    assert (await destroy(second, own=True)).clean
    assert set(people.cloud.billed()) == before


async def test_what_an_earlier_run_left_is_still_expected_after_a_run_ended_its_own(
    people: People,
) -> None:
    run = people.run("anna")
    run.journal.set_unproven("demo", "fake", "here", [("disk d-1 (fake here)", "remove d-1")])
    run.journal.record_intent("t-1", "demo", "earlier", people.here.offers["fake"][0], 1)
    await people.here.create()
    assert (await destroy(run, own=True)).clean
    assert [one.what for one in run.journal.unproven("demo")] == ["disk d-1 (fake here)"]
    assert [one.run for one in run.journal.open_intents("demo")] == ["earlier"]
