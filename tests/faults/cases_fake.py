"""Faults of the fake cloud, scripted in its state.

Its calls in a cycle of two nodes: account and offers; claim; twice nodes and leftovers; account and
create; while nodes boot nodes, fate and console; nodes, destroy, nodes and so on until they are
gone, leftovers, release, twice nodes and leftovers; release of the claim. What goes wrong before
create is an
infrastructure that failed. Once create was called, whatever cannot be proven gone is a leak, also
when the call was refused: the cloud can no longer be asked whether that is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from spotdeploy.model import Market, Verdict
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault, Call, Ending
from tests.cycles.project import Done
from tests.faults.case import Action, Case, Family
from tests.faults.killing import When, killed_at
from tests.faults.launcher import How, launcher
from tests.faults.testbed import IMPATIENT, FakeTestbed

INFRASTRUCTURE, LEAKED = Verdict.INFRASTRUCTURE_FAILED, Verdict.LEAKED
STEPS = {
    "begin_run": 1,
    "seen": 4,
    "close_intents": 2,
    "record_intent": 1,
    "resolve_intent": 1,
    "gone": 1,
    "end_run": 1,
}
"""Method of the journal to how often a cycle of two nodes calls it."""
DESTROY_STEPS = ("begin_run", "seen", "gone", "close_intents", "end_run")
CALLS: tuple[Call, ...] = (
    "offers",
    "claim",
    "nodes",
    "leftovers",
    "create",
    "fate",
    "console",
    "destroy",
    "release",
)
BEFORE_CREATE = 8
"""Calls before create."""
EVERY: tuple[Ending, ...] = get_args(Ending)
HURRIED = How(constants={"spotdeploy.patience:PATIENCE": 4.0, "spotdeploy.phases.boot:GRACE": 1.0})
"""Throttling is waited out for less than two minutes, and a late boot for less than 20 seconds."""
PLACES: dict[str, Any] = {"locations": ["here", "there"]}


def opened(folder: Path, request: pytest.FixtureRequest) -> FakeTestbed:
    """A testbed for one case."""
    return FakeTestbed(folder)


def cases() -> Iterator[Case]:
    """Every case."""
    for method, times in STEPS.items():
        for nth in range(1, times + 1):
            yield from (_kill(method, nth, when) for when in get_args(When))
    yield from _killed_elsewhere()
    yield from _crashed()
    yield from _replies()
    yield from _capacity()
    yield from _outages()
    yield from _listings()
    yield from _credentials()
    yield from _going()
    yield from _interrupted()


def scripted(
    family: Family,
    fault: str,
    expect: Verdict,
    *script: AnyFault,
    quick: bool = False,
    **config: Any,
) -> Case:
    """A cycle on a cloud with this script. `config` is `[provider.fake]`, or `boot` or `nodes`."""

    def action(testbed: FakeTestbed) -> Done:
        testbed.cloud.script(*script)
        settle(testbed, **config)
        if expect is LEAKED:
            testbed.project.config["timeouts"]["destroy"] = IMPATIENT
        testbed.project.command = launcher(HURRIED)
        return testbed.project.cycle()

    return Case(family, "fake", fault, expect, opened, action, quick=quick)


def settle(testbed: FakeTestbed, **config: object) -> None:
    """Change the testbed's config."""
    if boot := config.pop("boot", None):
        testbed.project.config["timeouts"]["boot"] = boot
    if nodes := config.pop("nodes", None):
        testbed.project.config["nodes"] |= nodes
    testbed.table |= config


def _kill(method: str, nth: int, when: When) -> Case:
    def action(testbed: FakeTestbed) -> Done:
        return killed_at(testbed, method, nth, when)

    return Case(
        Family.KILLED,
        "fake",
        f"kill -9 {when} step {method} no. {nth}",
        None,
        opened,
        action,
        quick=(method, nth, when)
        in (("record_intent", 1, "after"), ("resolve_intent", 1, "before")),
        then="cycle" if nth % 2 else "destroy",
    )


def _killed_elsewhere() -> Iterator[Case]:
    for method in ("record_intent", "resolve_intent", "gone"):
        for when in get_args(When):
            yield _killed_in(method, 2, when, "cycle", "of a cycle in two locations", **PLACES)
    for method in ("record_intent", "resolve_intent"):
        yield _killed_in(method, 1, "after", "create", "of create")
    for method in DESTROY_STEPS:
        for when in get_args(When):
            yield _killed_in(method, 1, when, "destroy", "of destroy")


def _killed_in(
    method: str, nth: int, when: When, command: str, words: str, **table: object
) -> Case:
    def action(testbed: FakeTestbed) -> Done:
        testbed.table |= table
        testbed.project.write()
        if command == "destroy":
            keep(testbed)
        return killed_at(testbed, method, nth, when, command)

    fault = f"kill -9 {when} step {method} no. {nth} {words}"
    return Case(Family.KILLED, "fake", fault, None, opened, action)


def keep(testbed: FakeTestbed) -> None:
    """Have nodes that a cycle made and kept."""
    done = testbed.project.cycle("--keep", "always")
    assert done.code == INFRASTRUCTURE.exit_code, done
    assert len(testbed.remains()) > testbed.project.config["nodes"]["count"], done


def _crashed() -> Iterator[Case]:
    for call in CALLS:
        for before in (True, False):
            what = "before" if before else "between"
            tail = "takes effect" if before else "and its answer"
            crash = faults.Crash(call=call, before=before)
            fault = f"kill -9 {what} the call {call} {tail}"
            yield Case(
                Family.KILLED,
                "fake",
                fault,
                None,
                opened,
                _crash(crash),
                quick=call == "create" and not before,
            )


def _crash(fault: faults.Crash) -> Action:
    def action(testbed: FakeTestbed) -> Done:
        testbed.cloud.script(fault)
        return testbed.project.cycle()

    return action


def _replies() -> Iterator[Case]:
    family = Family.REPLIES
    for call in CALLS[1:]:
        lost = faults.LostReply(call=call)
        yield scripted(
            family, f"the answer to {call} is lost", INFRASTRUCTURE, lost, quick=call == "create"
        )
    yield scripted(
        family, "no answer to create ever comes", INFRASTRUCTURE, faults.LostReply(times=0)
    )
    yield scripted(
        family,
        "no answer to destroy ever comes",
        INFRASTRUCTURE,
        faults.LostReply(call="destroy", times=0),
    )
    late = faults.LateCreate(seconds=1.0, times=0)
    yield scripted(
        family,
        "create takes effect a second after it went unanswered",
        INFRASTRUCTURE,
        late,
        settle=2.0,
        quick=True,
    )
    yield scripted(
        family,
        "create takes effect late in one of two locations",
        INFRASTRUCTURE,
        faults.LateCreate(seconds=1.0, times=0, location="there"),
        settle=2.0,
        **PLACES,
    )
    yield scripted(
        family,
        "half a batch is made, and its answer is lost",
        INFRASTRUCTURE,
        faults.PartialFill(),
        faults.LostReply(),
    )


def _capacity() -> Iterator[Case]:
    family, no = Family.CAPACITY, faults.NoCapacity
    quota, half = faults.Quota, faults.PartialFill
    yield scripted(family, "no capacity in a zone", INFRASTRUCTURE, no(zone="a"))
    yield scripted(family, "no capacity for a size", INFRASTRUCTURE, no(size="small"))
    yield scripted(family, "no capacity anywhere", INFRASTRUCTURE, no())
    yield scripted(
        family,
        "no spot capacity, on demand is allowed",
        INFRASTRUCTURE,
        no(market=Market.SPOT),
        nodes={"market": "spot-then-on-demand"},
    )
    yield scripted(
        family, "no capacity in one of two locations", INFRASTRUCTURE, no(location="here"), **PLACES
    )
    yield scripted(family, "no quota at all", INFRASTRUCTURE, quota())
    yield scripted(family, "quota for one of two nodes", INFRASTRUCTURE, quota(limit=1))
    yield scripted(
        family,
        "quota for one of three nodes in one of two locations",
        INFRASTRUCTURE,
        quota(limit=1, location="there"),
        nodes={"count": 3},
        **PLACES,
    )
    yield scripted(family, "a partial fill, the rest elsewhere", INFRASTRUCTURE, half())
    yield scripted(family, "nothing but partial fills", INFRASTRUCTURE, half(times=0))


def _outages() -> Iterator[Case]:
    family = Family.THROTTLING
    for call in CALLS:
        storm = faults.Throttled(call=call, times=2)
        yield scripted(family, f"a short storm of throttling on {call}", INFRASTRUCTURE, storm)
        outage = faults.Outage(call=call)
        yield scripted(family, f"{call} fails once", INFRASTRUCTURE, outage)
    for call, at in (("nodes", 2), ("nodes", 3), ("nodes", 5), ("leftovers", 2), ("leftovers", 3)):
        outage = faults.Outage(call=call, at=at)
        yield scripted(family, f"{call} fails once, the call no. {at}", INFRASTRUCTURE, outage)
    for call in CALLS:
        expect = LEAKED if call in ("destroy", "release") else INFRASTRUCTURE
        outage = faults.Outage(call=call, times=0)
        yield scripted(family, f"{call} never works", expect, outage)
    for call, at in (("nodes", 3), ("nodes", 5), ("leftovers", 3)):
        outage = faults.Outage(call=call, at=at, times=0)
        yield scripted(family, f"{call} never works again after {at - 1} calls", LEAKED, outage)
    for call, at in (("offers", 1), ("create", 1), ("destroy", 1), ("leftovers", 3), ("any", 8)):
        storm = faults.Throttled(call=call, at=at, times=0)
        expect = INFRASTRUCTURE if call in ("offers", "create") else LEAKED
        what = f"{call}, from call no. {at} on"
        yield scripted(family, f"throttling without end on {what}", expect, storm)


def _listings() -> Iterator[Case]:
    family = Family.LISTINGS
    for at in (3, 4, 5, 6):
        blink = faults.Blink(at=at - 2, nodes=2)
        fault = f"the listing no. {at} lacks both nodes"
        yield scripted(family, fault, INFRASTRUCTURE, blink, settle=1.0, quick=at == 4)
    yield scripted(
        family,
        "new nodes are not listed for a second",
        INFRASTRUCTURE,
        faults.Unlisted(seconds=1.0),
        settle=1.5,
    )
    yield scripted(
        family,
        "new nodes are missing from three listings",
        INFRASTRUCTURE,
        faults.Unlisted(listings=3),
        settle=2.0,
    )
    yield scripted(
        family,
        "create is unanswered and its nodes are not listed for a second",
        INFRASTRUCTURE,
        faults.Unlisted(seconds=1.0),
        faults.LostReply(times=0),
        settle=1.5,
    )


def _credentials() -> Iterator[Case]:
    for at in range(1, 16):
        expect = INFRASTRUCTURE if at <= BEFORE_CREATE else LEAKED
        yield scripted(
            Family.CREDENTIALS,
            f"credentials end at the call no. {at}",
            expect,
            faults.ExpiredCredentials(at=at),
            quick=at == BEFORE_CREATE + 1,
        )
    yield scripted(
        Family.CREDENTIALS,
        "the permission to end machines is missing",
        LEAKED,
        faults.ExpiredCredentials(call="destroy"),
    )
    yield scripted(
        Family.CREDENTIALS,
        "the permission to delete what is left is missing",
        LEAKED,
        faults.ExpiredCredentials(call="release"),
    )


def _going() -> Iterator[Case]:
    family = Family.GOING
    slow = faults.SlowGoing(seconds=2.0)
    yield scripted(family, "nodes take seconds to go", INFRASTRUCTURE, slow)
    yield scripted(
        family, "a node may not be ended, once", INFRASTRUCTURE, faults.RefuseDestroy(times=2)
    )
    yield scripted(family, "a node may never be ended", LEAKED, faults.RefuseDestroy(times=0))
    yield scripted(family, "a machine never goes", LEAKED, faults.Stuck(), quick=True)
    yield scripted(family, "no machine ever goes", LEAKED, faults.Stuck(nodes=2))
    yield scripted(
        family, "a machine never goes in one of two locations", LEAKED, faults.Stuck(), **PLACES
    )
    yield scripted(
        family, "what is left is in use for a while", INFRASTRUCTURE, faults.StuckResource(times=3)
    )
    yield scripted(family, "what is left is in use for ever", LEAKED, faults.StuckResource())
    yield scripted(family, "each node leaves a disk behind", INFRASTRUCTURE, faults.OrphanDisk())
    yield scripted(
        family,
        "each node leaves a disk behind that cannot be deleted",
        LEAKED,
        faults.OrphanDisk(),
        faults.StuckResource(),
    )


def _interrupted() -> Iterator[Case]:
    family = Family.INTERRUPTION
    for ending in EVERY:
        for call, at in (("nodes", 3), ("fate", 1), ("destroy", 1)):
            hit = faults.InterruptionAt(call=call, at=at, ending=ending)  # type: ignore[arg-type]  # one of the calls
            fault = f"a node is {ending} when {call} is called"
            yield scripted(family, fault, INFRASTRUCTURE, hit)
        later = faults.InterruptionAfter(seconds=0.5, nodes=1, ending=ending)
        fault = f"a node is {ending} half a second after it was made"
        yield scripted(family, fault, INFRASTRUCTURE, later, boot="3s", quick=ending == "preempted")
    yield scripted(
        family,
        "every node is interrupted, and so are those that replace them",
        INFRASTRUCTURE,
        faults.InterruptionAfter(seconds=0.5, nodes=2, times=0),
        boot="3s",
        nodes={"on_interruption": "replace"},
    )
    boot = Family.BOOT
    yield scripted(boot, "nodes stay pending", INFRASTRUCTURE, faults.SlowBoot(seconds=60))
    yield scripted(boot, "nodes never answer on any port", INFRASTRUCTURE, faults.Unreachable())
