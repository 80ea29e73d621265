"""Destroying, on a cloud that misbehaves. What is left is asked of the cloud, not of us."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from spotdeploy.errors import (
    CredentialsError,
    HostError,
    LostReplyError,
    ProviderError,
    RefusedError,
    ThrottledError,
)
from spotdeploy.events import Bus, Note
from spotdeploy.model import Market, Node, NodeState, Offer, Resource
from spotdeploy.node import keys
from spotdeploy.phases.destroy import describe, destroy
from spotdeploy.project import Project
from spotdeploy.run.context import Run, open_run
from spotdeploy.run.trace import TRACES
from spotdeploy.run.verdict import Receipt
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault
from spotdeploy.testing.fake.provider import FakeProvider
from tests.fake_project import Ears, FakeProject
from tests.properties.world_of_faults import KilledError

FakeProjects = Callable[..., FakeProject]
OFFER = Offer("fake", "here", "a", "small", Market.SPOT)


async def test_destroying_an_empty_deployment_calls_no_destroy_and_proves_it_twice(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    receipt = await here.destroy()
    assert receipt.clean
    assert receipt.listings == 2
    assert here.cloud.count("destroy") == 0


async def test_everything_created_is_destroyed_and_listed_in_the_receipt(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=5, locations=("here", "there"))
    creation = await here.create()
    receipt = await here.destroy()
    assert receipt.clean
    assert {n.id for n in receipt.destroyed} == {p.id for p in creation.nodes}
    assert here.existing() == 0
    assert here.run.journal.nodes("demo") == []


async def test_the_receipt_proves_each_node_by_when_it_was_made_seen_and_gone(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(
        count=2, locations=("here", "there"), faults=[faults.SlowGoing(seconds=0.5)]
    )
    creation = await here.create()
    receipt = await here.destroy()
    assert {p.id for p in receipt.proofs} == {p.id for p in creation.nodes}
    for proof in receipt.proofs:
        assert proof.made_at < proof.seen_at < proof.gone_at
        label = "by spotdeploy-deployment=demo"
        assert re.fullmatch(rf"absent from listing \d+ of fake (here|there) {label}", proof.gone_by)


async def test_what_only_the_journal_knows_is_ended_once_and_then_waited_for(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1, settle=1.5, faults=[faults.Unlisted(seconds=60)])
    await here.create()
    assert (await here.destroy()).clean
    assert here.cloud.count("destroy") == 1
    assert here.existing() == 0


@pytest.mark.parametrize("call", ["leftovers", "release"])
async def test_leftovers_that_cannot_be_asked_for_are_never_called_released(
    fake_project: FakeProjects, call: Literal["leftovers", "release"]
) -> None:
    here = fake_project(patience="800ms")
    await here.create()
    here.cloud.script(faults.Outage(call=call, times=0))
    receipt = await here.destroy()
    assert not receipt.clean
    assert "internal error" in receipt.left[0]
    assert here.existing() == 1
    here.cloud.heal()
    assert (await here.destroy()).clean
    assert here.existing() == 0


async def test_a_cloud_that_never_names_its_leftovers_is_an_error_where_nothing_is_known(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Outage(call="leftovers", times=0)])
    with pytest.raises(ProviderError, match="internal error"):
        await here.destroy()


async def test_a_node_that_one_listing_lacked_is_proven_gone_once_and_after_it_was_last_seen(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    await here.create()
    here.cloud.script(faults.Blink(nodes=3, at=2), faults.SlowGoing(seconds=1.5))
    receipt = await here.destroy()
    assert receipt.clean
    assert len(receipt.destroyed) == len(receipt.proofs) == 3
    assert all(proof.seen_at < proof.gone_at for proof in receipt.proofs)


async def test_what_the_journal_knows_is_asked_to_end_even_when_listings_never_show_it(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Unlisted(seconds=9e9)])
    await here.create()
    assert (await here.destroy()).clean
    assert here.machines() == 0


async def test_what_was_just_ended_or_released_is_looked_at_again_at_once(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "poll_seconds", 60.0)
    here = fake_project(patience="10s", faults=[faults.SlowGoing(seconds=0), faults.OrphanDisk()])
    await here.create()
    receipt = await here.destroy()
    assert receipt.clean, receipt.left
    assert len(receipt.released) > 0


async def test_credentials_of_another_account_are_refused_and_prove_nothing_gone(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    await here.create()
    mine, here.config = here.config, msgspec.structs.replace(here.config, account="another")
    with pytest.raises(RefusedError, match=r"in account fake-account of fake.*are of another"):
        await here.destroy()
    assert here.machines() == 3
    assert here.cloud.count("destroy") == 0
    here.config = mine
    assert (await here.destroy()).clean
    here.config = msgspec.structs.replace(mine, account="another")
    assert (await here.destroy()).clean, "nothing is known to be anywhere"


async def test_other_deployments_are_never_touched(fake_project: FakeProjects) -> None:
    here = fake_project()
    await here.create()
    config = msgspec.structs.replace(here.settings.config, deployment="other")
    here.settings = msgspec.structs.replace(here.settings, config=config)
    receipt = await here.destroy()
    assert receipt.clean
    assert receipt.destroyed == ()
    assert here.cloud.count("destroy") == 0


MENDING: list[AnyFault] = [
    faults.SlowGoing(seconds=1.0),
    faults.RefuseDestroy(nodes=1, times=2),
    faults.LostReply(call="destroy"),
    faults.Outage(call="destroy", times=2),
    faults.Outage(call="nodes", at=2, times=2),
    faults.Throttled(call="destroy", times=2),
    faults.Throttled(call="nodes", times=2),
    faults.OrphanDisk(),
    faults.StuckResource(times=2),
]


@pytest.mark.parametrize("fault", MENDING)
async def test_a_cloud_that_mends_ends_with_nothing_left(
    fake_project: FakeProjects, fault: AnyFault
) -> None:
    here = fake_project()
    await here.create()
    here.cloud.script(fault)
    receipt = await here.destroy()
    assert receipt.clean, receipt.left
    assert here.existing() == 0


async def test_a_machine_that_never_goes_is_a_leak_named_with_how_to_end_it_by_hand(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(patience="1500ms")
    await here.create()
    here.cloud.script(faults.Stuck())
    node, _ = (await here.destroy()).left
    assert "by hand: remove" in node
    assert here.machines() == 1
    assert len(here.run.journal.nodes("demo")) == 1


async def test_one_node_that_cannot_be_ended_does_not_keep_the_others_alive(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=4, patience="1500ms")
    await here.create()
    here.cloud.script(faults.RefuseDestroy(nodes=1, times=0))
    node, others = (await here.destroy()).left
    assert "protected from deletion" in node
    assert others.startswith("whatever else is in fake here")
    assert here.machines() == 1


async def test_a_node_absent_from_one_listing_is_not_gone(fake_project: FakeProjects) -> None:
    here = fake_project(settle=1.0)
    await here.create()
    here.cloud.script(faults.Blink(nodes=3, times=2))
    receipt = await here.destroy()
    assert receipt.clean
    assert here.existing() == 0


async def test_a_just_made_node_that_is_not_listed_yet_is_found_and_destroyed(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=1.0, faults=[faults.Unlisted(seconds=0.8)])
    await here.create()
    receipt = await here.destroy()
    assert receipt.clean
    assert here.existing() == 0


async def test_a_create_that_timed_out_and_appears_later_is_destroyed(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=2.0, count=1, faults=[faults.LateCreate(seconds=1.0, times=0)])
    here.run.journal.record_intent("run-1-fake-0", "demo", "run-1", OFFER, 1)
    batch = here.batch("run-1-fake-0")
    with pytest.raises(LostReplyError):
        here.run.locations[0].provider.create(OFFER, batch)
    receipt = await here.destroy()
    assert receipt.clean
    assert len(receipt.destroyed) == 1
    assert here.existing() == 0


async def test_credentials_that_expire_with_nodes_alive_are_a_leak(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    await here.create()
    here.cloud.script(faults.ExpiredCredentials(call="nodes", at=2))
    receipt = await here.destroy()
    assert not receipt.clean
    here.cloud.heal()
    assert (await here.destroy()).clean
    assert here.existing() == 0


async def test_bad_credentials_with_nothing_known_to_exist_are_an_error_and_no_leak(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.ExpiredCredentials()])
    with pytest.raises(CredentialsError):
        await here.destroy()


async def test_a_stale_journal_entry_counts_as_gone_only_after_a_listing(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    stale = Node("i-stale", "stale", "fake", "here", NodeState.RUNNING)
    here.run.journal.resolve_intent("t", "demo", "run-0", [stale])
    await here.create()
    receipt = await here.destroy()
    assert receipt.clean
    assert "i-stale" in {node.id for node in receipt.destroyed}
    assert here.existing() == 0


async def test_nodes_in_a_location_that_left_the_config_are_still_destroyed(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(locations=("here", "there"))
    await here.create()
    gone = here.run.locations[1]
    run = here.new_run("run-3")
    moved = replace(run, locations=run.locations[:1], previous_locations=(run.locations[1],))
    receipt = await destroy(moved)
    moved.close()
    assert gone.name == "there"
    assert receipt.clean
    assert here.existing() == 0


async def test_a_create_call_of_long_ago_may_still_take_effect_when_the_destroy_begins(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=2.0, count=1, faults=[faults.LateCreate(seconds=1.0, times=0)])
    before = Journal(here.folder / "journal.db", now=lambda: time.time() - 600)
    before.record_intent("run-1-fake-0", "demo", "run-1", OFFER, 1)
    before.close()
    batch = here.batch("run-1-fake-0")
    with pytest.raises(LostReplyError):
        here.run.locations[0].provider.create(OFFER, batch)
    receipt = await here.destroy()
    assert receipt.clean
    assert len(receipt.destroyed) == 1
    assert here.existing() == 0


@pytest.mark.parametrize("fault", [faults.Outage, faults.Throttled])
async def test_leftovers_that_cannot_be_listed_are_not_proven_gone(
    fake_project: FakeProjects, fault: type[faults.Outage | faults.Throttled]
) -> None:
    here = fake_project(patience="2s")
    await here.create()
    here.cloud.script(fault(call="leftovers", times=0))
    receipt = await here.destroy()
    assert not receipt.clean
    (line,) = receipt.left
    assert line.startswith("whatever is in fake here")
    assert "by hand: look for what is labelled spotdeploy-deployment=demo" in line


async def test_what_could_not_be_looked_for_is_told_beside_the_nodes(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1)
    await here.create()
    here.cloud.script(faults.ExpiredCredentials())
    node, other = (await here.destroy()).left
    assert "; by hand: remove m-" in node
    assert other.startswith("whatever else is in fake here (the token has expired); by hand: look")


async def test_a_journal_that_cannot_be_written_keeps_no_node_alive(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    await here.create()
    here.run.journal._db.execute("PRAGMA query_only = ON")
    receipt = await destroy(here.run)
    assert here.existing() == 0
    assert receipt.clean


NOT_OURS = [
    RecursionError("maximum recursion depth exceeded"),
    KeyError("items"),
    TimeoutError("timed out"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


async def destroy_with(here: FakeProject, place: str, call: str, error: Exception) -> Receipt:
    """Destroy as another process would, while one call of one place always ends with the error."""
    run = here.new_run("run-2")
    provider = next(one.provider for one in run.locations if one.name == place)

    def fail(*_: object) -> None:
        raise type(error)(*error.args)  # a fresh one, with a trace of its own

    setattr(provider, call, fail)
    try:
        return await destroy(run)
    finally:
        run.close()


@pytest.mark.parametrize("error", NOT_OURS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", ["nodes", "destroy", "leftovers"])
async def test_an_exception_that_is_none_of_ours_is_told_and_the_other_location_ends_well(
    fake_project: FakeProjects, call: str, error: Exception
) -> None:
    here = fake_project(count=4, locations=("here", "there"), patience="3s")
    made = await here.create()
    receipt = await destroy_with(here, "here", call, error)
    there = {node.id for node in made.nodes if node.location == "there"}
    assert {node.id for node in receipt.destroyed} >= there
    assert {proof.id for proof in receipt.proofs} >= there
    assert not receipt.clean
    assert all("; by hand: " in what and "fake there" not in what for what in receipt.left)
    traces = here.new_run("run-2").folder / TRACES
    assert any(type(error).__name__ in what and str(traces) in what for what in receipt.left)
    assert traces.read_text().count(type(error).__name__) == 1, "kept once, however often it came"
    assert (here.existing() > 0) == (call != "nodes"), "known nodes end by their ids, unlisted"
    assert (await here.destroy()).clean
    assert here.existing() == 0


class Holder:
    """A thing that holds nodes, and that the cloud deletes itself once it is asked to: it takes
    `looks` looks, and fails `fails` times."""

    def __init__(self, provider: FakeProvider, looks: int = 10**9, fails: int = 0) -> None:
        self.looks, self.fails, self.released = looks, fails, 0
        self.ending = self.gone = False
        self._left = looks
        setattr(provider, "leftovers", self.leftovers)  # noqa: B010
        setattr(provider, "release", self.release)  # noqa: B010

    def leftovers(self, _: object) -> list[Resource]:
        if self.ending:
            self._left -= 1
        if self._left <= 0:
            self.gone, self.ending = not self.fails, False
            self.fails, self._left = max(0, self.fails - 1), self.looks
        thing = Resource("group", "g-1", "fake", "here", ending=self.ending)
        return [] if self.gone else [thing]

    def release(self, things: Sequence[Resource]) -> None:
        if not self.ending and things:
            self.released, self.ending = self.released + 1, True


def provider_of(run: Run) -> FakeProvider:
    provider = run.locations[0].provider
    assert isinstance(provider, FakeProvider)
    return provider


async def test_what_the_cloud_is_still_deleting_when_time_is_over_is_told_and_no_leak(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(patience="1s")
    await here.create()
    holder = Holder(provider_of(here.run))
    receipt = await destroy(here.run)
    assert receipt.clean
    assert receipt.listings >= 2
    (still,) = receipt.ending
    assert still.startswith("group g-1 (fake here): fake is still deleting it, its nodes are gone")
    assert still in describe(receipt)
    assert here.machines() == 0
    assert here.run.journal.unproven("demo"), "the next destroy looks at it again"
    holder.gone = True
    assert (await destroy(here.run)).ending == ()
    assert here.run.journal.unproven("demo") == []


async def test_what_the_cloud_is_deleting_holds_up_no_create(fake_project: FakeProjects) -> None:
    here = fake_project(patience="60s")
    await here.create()
    Holder(provider_of(here.run))
    receipt = await destroy(here.run, before_create=True)
    assert receipt.clean
    assert receipt.ending
    assert receipt.seconds < 10


async def test_a_deletion_of_the_clouds_that_fails_is_asked_for_again(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(patience="10s")
    await here.create()
    holder = Holder(provider_of(here.run), looks=4, fails=2)
    receipt = await destroy(here.run)
    assert (receipt.clean, receipt.ending, holder.released) == (True, (), 3)


async def test_a_listing_that_is_throttled_for_long_keeps_nothing_alive(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(patience="2s")
    await here.create()
    provider, error = provider_of(here.run), ThrottledError("come back later")
    holder, error.retry_after = Holder(provider), 1235.0

    def nodes(_: object) -> None:
        raise error

    setattr(provider, "nodes", nodes)  # noqa: B010
    receipt = await destroy(here.run)
    assert here.machines() == 0
    assert holder.released == 1
    assert not receipt.clean, "that they are gone was not proven"


@pytest.mark.parametrize("call", ["nodes", "destroy", "leftovers", "release", "account"])
async def test_a_call_that_breaks_off_a_few_times_keeps_nothing_alive(
    fake_project: FakeProjects, call: faults.Call
) -> None:
    here = fake_project(count=2, locations=("here", "there"))
    await here.create()
    here.cloud.script(faults.Bug(call=call, times=3))
    receipt = await here.destroy()
    assert receipt.clean, receipt.left
    assert len(receipt.destroyed) == 2
    assert here.existing() == 0


async def test_a_bug_where_nothing_is_known_is_told_with_how_to_look_by_hand(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Bug(call="nodes", times=0)])
    (what,) = (await here.destroy()).left
    assert what.startswith("whatever is in fake here (RecursionError: maximum recursion depth")
    assert "; by hand: look for what is labelled spotdeploy-deployment=demo" in what


@pytest.mark.parametrize(
    "error", [ProviderError("no route"), CredentialsError("no token"), RefusedError("not there")]
)
async def test_a_place_that_cannot_be_asked_is_told_beside_what_the_others_ended(
    fake_project: FakeProjects, error: ProviderError | RefusedError
) -> None:
    here = fake_project(count=2, locations=("here", "there"))
    here.config = msgspec.structs.replace(here.config, locations=("here",))
    here.run = here.new_run("run-1")
    await here.create()
    here.config = msgspec.structs.replace(here.config, locations=("here", "there"))
    receipt = await destroy_with(here, "there", "nodes", error)
    assert len(receipt.destroyed) == len(receipt.proofs) == 2
    (what,) = receipt.left
    assert what.startswith(f"whatever is in fake there ({error.message}); by hand: look")
    assert here.existing() == 0


async def test_a_place_that_cannot_be_asked_is_an_error_where_no_place_has_anything(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(locations=("here", "there"))
    with pytest.raises(ProviderError, match="no route"):
        await destroy_with(here, "there", "nodes", ProviderError("no route"))


async def test_nothing_is_ended_while_it_cannot_be_told_whose_account_it_is(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=2, patience="1500ms")
    await here.create()
    here.cloud.script(faults.Outage(call="account", times=0))
    left = (await here.destroy()).left
    assert len(left) == 3
    assert "asking fake here whose account it is: " in left[0]
    assert "; by hand: remove m-" in left[0]
    assert here.cloud.count("destroy") == 0
    assert here.machines() == 2


async def test_an_account_that_cannot_be_told_for_a_moment_is_asked_for_again_and_compared(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=2)
    await here.create()
    here.config = msgspec.structs.replace(here.config, account="another")
    here.cloud.script(faults.Outage(call="account", times=3))
    with pytest.raises(RefusedError, match="the credentials are of another"):
        await here.destroy()
    assert here.cloud.count("destroy") == 0
    here.config = msgspec.structs.replace(here.config, account="fake-account")
    here.cloud.script(faults.Outage(call="account", times=5))
    assert (await here.destroy()).clean
    assert here.existing() == 0


async def test_nothing_is_made_while_it_cannot_be_told_whose_account_it_is(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(faults=[faults.Outage(call="account", times=0)])
    with pytest.raises(ProviderError):
        await here.create()
    assert here.cloud.count("create") == 0


async def test_credentials_that_are_refused_in_the_middle_of_a_run_leave_what_it_made(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project(count=1)
    await here.create()
    monkeypatch.setattr(FakeProvider, "account", lambda _: "another")
    node, _ = (await destroy(here.run)).left
    assert "in account fake-account of fake" in node
    assert "; by hand: remove m-" in node


async def test_a_provider_that_cannot_name_the_command_is_told_in_the_contracts_own_words(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project(count=1, patience="500ms", faults=[faults.Stuck()])
    await here.create()

    def fail(*_: object) -> str:
        raise KeyError("zone")

    monkeypatch.setattr(FakeProvider, "manual_delete_command", fail)
    monkeypatch.setattr(FakeProvider, "manual_list_command", fail)
    node, others = (await here.destroy()).left
    assert re.search(r"; by hand: delete m-\d+ in the console of fake$", node)
    assert "; by hand: look for what is labelled" in others


async def test_a_journal_that_can_no_longer_be_read_keeps_no_node_alive(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project()
    await here.create()

    def fail(*_: object, **__: object) -> None:
        raise HostError("the journal is damaged")

    monkeypatch.setattr(Journal, "_read", fail)
    receipt = await here.destroy()
    assert here.existing() == 0
    assert receipt.clean


UNLISTED = [faults.Unlisted(seconds=1.0, times=0), faults.UnlistedGroup(seconds=1.0, times=0)]


def lose_journal(here: FakeProject) -> None:
    """The folder is deleted while no process has it open."""
    here.run.close()
    for path in here.folder.glob("journal.db*"):
        path.unlink()


async def test_a_lost_journal_waits_for_listings_that_lag_behind(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=1.2, count=2, faults=UNLISTED)
    await here.create()
    lose_journal(here)
    receipt = await here.destroy()
    assert receipt.clean
    assert len(receipt.destroyed) == 2
    assert here.existing() == 0


async def test_a_second_destroy_after_a_lost_journal_waits_as_the_first_would_have(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=1.2, count=2, faults=UNLISTED)
    await here.create()
    lose_journal(here)
    killed = here.new_run("run-2")
    killed.journal.begin_run("run-2", "demo", "destroy", "")
    killed.close()
    assert (await here.destroy()).clean
    assert here.existing() == 0


@pytest.mark.parametrize(("age", "waits"), [(600.0, False), (0.0, True), (-9e9, True)])
async def test_only_a_young_journal_waits_where_nothing_is_known(
    fake_project: FakeProjects, age: float, waits: bool
) -> None:
    here = fake_project(settle=1.0)
    earlier = Journal(here.folder / "journal.db", now=lambda: time.time() - age)
    earlier.begin_run("run-0", "demo", "cycle", "")
    earlier.close()
    other = Journal(here.folder / "journal.db", now=lambda: time.time() - 6000)
    other.begin_run("run-a", "another", "cycle", "")
    other.close()
    receipt = await here.destroy()
    assert receipt.clean
    assert (receipt.seconds >= 1.0) is waits


async def test_a_group_that_is_listed_late_is_found_after_its_machine(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=1.2, count=1, faults=UNLISTED)
    await here.create()
    (group,) = (id_ for id_ in here.cloud.billed() if id_.startswith("group"))
    receipt = await here.destroy()
    assert [thing.id for thing in receipt.released] == [group]
    assert here.existing() == 0


async def test_what_was_told_as_left_is_expected_until_it_is_proven_gone(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1, patience="2s")
    await here.create()
    (group,) = (id_ for id_ in here.cloud.billed() if id_.startswith("group"))
    here.cloud.script(faults.StuckResource())
    assert f"group {group} (fake here); by hand: remove {group}" in (await here.destroy()).left[0]
    assert here.run.journal.nodes("demo") == []
    here.cloud.heal()
    here.cloud.script(faults.ExpiredCredentials())
    told, others = (await here.destroy()).left
    assert told.startswith(f"group {group} (fake here) (the token has expired); by hand: remove ")
    assert others.startswith("whatever else is in fake here (the token has expired); by hand: ")
    here.cloud.heal()
    assert (await here.destroy()).clean
    assert here.existing() == 0
    here.cloud.script(faults.ExpiredCredentials())
    with pytest.raises(CredentialsError):
        await here.destroy()


async def test_what_could_not_be_looked_for_is_expected_by_the_next_destroy(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(count=1, patience="900ms")
    await here.create()
    here.cloud.script(faults.Outage(call="leftovers", times=0))
    assert not (await here.destroy()).clean
    assert here.run.journal.nodes("demo") == []
    here.cloud.script(faults.Outage(call="nodes", times=0))
    (what,) = (await here.destroy()).left
    assert what.startswith("whatever is in fake here (listing fake here: internal error")


async def test_a_destroy_that_was_killed_leaves_what_it_saw_to_the_next(
    fake_project: FakeProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = fake_project(count=1)
    await here.create()
    lose_journal(here)
    (group,) = (id_ for id_ in here.cloud.billed() if id_.startswith("group"))

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(FakeProvider, "release", killed)
        with pytest.raises(KilledError):
            await here.destroy()
    here.cloud.script(faults.Outage(call="nodes", times=2))
    receipt = await here.destroy()
    assert receipt.clean, "patient, since something is expected"
    assert [thing.id for thing in receipt.released] == [group]


async def test_what_is_left_in_a_place_that_left_the_config_is_looked_for_there(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / ".spotdeploy" / "journal.db")
    journal.set_unproven("demo", "fake", "gone", [("group g-1", "remove g-1")])
    journal.close()
    (tmp_path / "spotdeploy.toml").write_text('deployment = "demo"\nproviders = ["fake"]\n')
    project = Project.open(tmp_path / "spotdeploy.toml")
    with open_run(project, {}, Bus()) as run:
        assert [location.name for location in run.previous_locations] == ["gone"]


@pytest.mark.parametrize("call", ["account", "nodes"])
async def test_the_limit_holds_for_calls_that_are_never_answered(
    fake_project: FakeProjects, call: faults.Call
) -> None:
    here = fake_project(count=1, patience="800ms")
    await here.create()
    here.cloud.script(faults.SlowCall(call=call, seconds=300, times=0))
    receipt = await here.destroy()
    assert receipt.seconds < 3
    node, _ = receipt.left
    assert re.search(r"\(no answer within 0.8s\); by hand: remove m-", node)


async def test_a_row_that_makes_no_sense_keeps_nothing_alive_and_is_waited_for(
    fake_project: FakeProjects,
) -> None:
    here = fake_project(settle=1.2, count=2, faults=UNLISTED)
    earlier = Journal(here.folder / "journal.db", now=lambda: time.time() - 600)
    earlier.begin_run("run-0", "demo", "cycle", "")
    earlier.close()
    await here.create()
    here.run.journal._db.execute("UPDATE node SET name = x'00', made_at = 'then'")
    receipt = await here.destroy()
    assert receipt.clean
    assert len(receipt.destroyed) == 2
    assert here.existing() == 0


def test_a_row_that_makes_no_sense_is_a_warning_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "spotdeploy.toml").write_text('deployment = "demo"\nproviders = ["fake"]\n')
    project = Project.open(tmp_path / "spotdeploy.toml")
    journal = Journal(project.journal_path)
    journal.record_intent("t", "demo", "run-0", OFFER, 1)
    journal._db.execute("UPDATE intent SET location = x'00'")
    journal.close()
    ears = Ears()
    with open_run(project, {}, Bus(ears)) as run:
        assert run.previous_locations == ()
        assert run.journal.open_intents("demo") == []
    (note,) = ears.received
    assert isinstance(note, Note)
    assert note.warning
    assert "row 1 of table intent makes no sense" in note.text


async def test_keys_go_once_the_nodes_are_proven_gone(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    await here.create()
    folder = here.run.project.keys_folder
    keys.make(folder, "demo")
    (folder / keys.KNOWN_HOSTS).write_text("i-1 ssh-ed25519 AAAA\n")
    assert (await here.destroy()).clean
    assert list(folder.iterdir()) == []
    assert (await here.destroy()).clean


async def test_keys_stay_while_a_node_may_be_left(fake_project: FakeProjects) -> None:
    here = fake_project(count=1, faults=[faults.Stuck()], patience="1s")
    await here.create()
    keys.make(here.run.project.keys_folder, "demo")
    assert not (await here.destroy()).clean
    assert keys.read(here.run.project.keys_folder, "demo")


async def test_keys_stay_while_another_provider_has_a_node(fake_project: FakeProjects) -> None:
    here = fake_project(count=1)
    await here.create()
    keys.make(here.run.project.keys_folder, "demo")
    elsewhere = Node("i-9", "demo-9", "other", "there", NodeState.RUNNING)
    here.run.journal.seen([elsewhere], "demo")
    assert (await here.destroy()).clean
    assert keys.read(here.run.project.keys_folder, "demo")
