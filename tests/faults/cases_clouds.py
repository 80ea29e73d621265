"""Faults that every cloud has, made to happen in each one's own words and errors.

Which verdict is right, when credentials end or the cloud stops answering: before anything was
asked to be made, the infrastructure failed; from the first call on that makes something, nothing
can be proven gone, and that is a leak until it is, whether or not the call took effect.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from spotdeploy.model import Verdict
from tests.cycles.project import Done
from tests.faults.case import Also, Case, Family, Open
from tests.faults.fault_script import (
    Action,
    Trouble,
    cycle,
    destroy,
    impatient,
    long_boot,
    signalled,
)
from tests.faults.killing import When, killed_at
from tests.faults.lab_testbed import SETTLE, LabTestbed
from tests.labs.clouds import AZURE
from tests.labs.fault_queue import ANY

INFRASTRUCTURE, LEAKED, PASSED, STOPPED = (
    Verdict.INFRASTRUCTURE_FAILED,
    Verdict.LEAKED,
    Verdict.PASSED,
    Verdict.STOPPED,
)
STEPS = {"record_intent": 1, "resolve_intent": 1, "seen": 3, "gone": 1, "close_intents": 2}
"""Method of the journal to which of its calls in a cycle of two nodes: the first after create."""


@dataclass(frozen=True)
class Calls:
    """A cloud's calls in a cycle, in its own words."""

    opened: Open
    testbed: type[LabTestbed]
    first: str
    """The first of all calls."""
    makes: Mapping[str, str]
    """What makes something, in order: in a few words, and the call. The last one makes nodes."""
    claims: str
    """Which of them makes the claim too, before anything else; "" where there are no claims."""
    release: str
    things: str
    """The listing of what is not a node."""
    reads: Mapping[str, str]
    """Other calls, in a few words."""
    quick: tuple[str, ...]
    """The faults that every test run plays here: with the other clouds', each family once."""

    @property
    def where(self) -> str:
        """As the page names it."""
        return f"{self.testbed.cloud.name} lab"

    @property
    def changes(self) -> dict[str, str]:
        """Every call that changes something."""
        ends = {"ending nodes": self.testbed.end}
        if self.release != self.testbed.end:
            ends["releasing what is left"] = self.release
        return {**self.makes, **ends}

    def case(
        self, family: Family, fault: str, expect: Verdict | None, action: Action, **more: object
    ) -> Case:
        """A case in this lab."""
        quick = fault in self.quick
        return Case(family, self.where, fault, expect, self.opened, action, quick=quick, **more)  # type: ignore[arg-type]  # Case's own


def cases(calls: Calls) -> Iterator[Case]:
    """Every case that all clouds have."""
    yield from _killed(calls)
    yield from _lost(calls)
    yield from _throttled(calls)
    yield from _broken(calls)
    yield from _expired(calls)
    yield from _going(calls)
    yield from _interrupted(calls)
    yield from _stopped(calls)


def _killed(calls: Calls) -> Iterator[Case]:
    for method, nth in STEPS.items():
        for when in get_args(When):
            fault = f"kill -9 {when} step {method} no. {nth}"
            then = "cycle" if method == "resolve_intent" else "destroy"
            yield calls.case(Family.KILLED, fault, None, _kill(method, nth, when), then=then)
    for what, call in calls.changes.items():
        fault = f"kill -9 between {what} and its answer"
        yield calls.case(Family.KILLED, fault, None, signalled(call, signal.SIGKILL))
    fault = "kill -9 of a destroy between ending nodes and its answer"
    action = signalled(calls.testbed.end, signal.SIGKILL, command="destroy")
    yield calls.case(Family.KILLED, fault, None, action)


def _kill(method: str, nth: int, when: When) -> Action:
    def action(testbed: LabTestbed) -> Done:
        return killed_at(testbed, method, nth, when)

    return action


def _lost(calls: Calls) -> Iterator[Case]:
    for what, call in calls.changes.items():
        for lost in ("request", "reply"):
            fault = f"the {lost} of {what} is lost"
            yield calls.case(Family.REPLIES, fault, INFRASTRUCTURE, cycle(_lose(call, lost, 1)))
    for lost in ("request", "reply"):
        fault = f"every {lost} of making nodes is lost"
        action = cycle(_lose(calls.testbed.cloud.create, lost))
        yield calls.case(Family.REPLIES, fault, INFRASTRUCTURE, action)
    fault = "every request to end nodes is lost"
    action = cycle(impatient, _lose(calls.testbed.end, "request"))
    yield calls.case(Family.REPLIES, fault, LEAKED, action, also=names_every_machine)


def _lose(call: str, lost: str, times: int = 1_000_000) -> Trouble:
    return lambda testbed: testbed.fault(call, times, lose=lost)


def _throttled(calls: Calls) -> Iterator[Case]:
    short = {**calls.reads, **calls.changes, "listing nodes": calls.testbed.cloud.listing}
    for what, call in short.items():
        fault = f"a short storm of throttling on {what}"
        action = cycle(_refuse(call, "throttled", 2))
        yield calls.case(Family.THROTTLING, fault, INFRASTRUCTURE, action)
    testbed = calls.testbed
    endless: list[tuple[str, str, Verdict]] = [
        ("the first call", calls.first, INFRASTRUCTURE),
        ("making nodes", testbed.cloud.create, INFRASTRUCTURE),
        ("ending nodes", testbed.end, LEAKED),
        ("listing what is no node", calls.things, LEAKED),
    ]
    for what, call, expect in endless:
        if call == calls.things:
            troubles = (impatient, _refuse_since(testbed.cloud.create, call, "throttled"))
        else:
            troubles = (impatient, _refuse(call, "throttled"))
        yield calls.case(
            Family.THROTTLING, f"throttling without end on {what}", expect, cycle(*troubles)
        )
    action = cycle(impatient, _refuse_since(testbed.cloud.create, "", "throttled", after=True))
    fault = "throttling without end on every call once nodes are made"
    yield calls.case(Family.THROTTLING, fault, LEAKED, action, also=tells_every_machine)


def _refuse(call: str, how: str, times: int = 1_000_000) -> Trouble:
    return lambda testbed: testbed.fault(call, times, error=getattr(testbed, how))


def _refuse_since(start: str, call: str, how: str, *, after: bool = False, nth: int = 1) -> Trouble:
    """Refuse a call, or every one, from the moment on when another one came for the `nth` time."""

    def trouble(testbed: LabTestbed) -> None:
        begun, first = testbed.since(start, nth), []

        def when(one: object) -> bool:
            if not begun(one):
                return False
            first.append(one)
            return not (after and len(first) == 1) and call in ("", testbed.named(one))

        testbed.fault(ANY, error=getattr(testbed, how), when=when)

    return trouble


def _broken(calls: Calls) -> Iterator[Case]:
    for what, call in {**calls.changes, "listing nodes": calls.testbed.cloud.listing}.items():
        fault = f"a server error on {what}, once"
        yield calls.case(
            Family.THROTTLING, fault, INFRASTRUCTURE, cycle(_refuse(call, "broken", 1))
        )
    action = cycle(_refuse(calls.testbed.cloud.create, "broken"))
    fault = "nothing but server errors on making nodes"
    yield calls.case(Family.THROTTLING, fault, INFRASTRUCTURE, action)
    action = cycle(impatient, _refuse(calls.testbed.end, "broken"))
    fault = "nothing but server errors on ending nodes"
    yield calls.case(Family.THROTTLING, fault, LEAKED, action, also=names_every_machine)


def _expired(calls: Calls) -> Iterator[Case]:
    testbed = calls.testbed
    yield calls.case(
        Family.CREDENTIALS,
        "credentials end before the first call",
        INFRASTRUCTURE,
        cycle(_refuse(ANY, "expired")),
    )
    if calls.claims:
        yield calls.case(
            Family.CREDENTIALS,
            "credentials end at the claim",
            INFRASTRUCTURE,
            cycle(_refuse_since(calls.claims, "", "expired")),
        )
    for what, call in calls.changes.items():
        nth = 2 if call == calls.claims else 1
        yield calls.case(
            Family.CREDENTIALS,
            f"credentials end at {what}",
            LEAKED,
            cycle(_refuse_since(call, "", "expired", nth=nth)),
        )
    yield calls.case(
        Family.CREDENTIALS,
        "credentials end between making nodes and the first listing",
        LEAKED,
        cycle(_refuse_since(testbed.cloud.create, "", "expired", after=True)),
        also=tells_every_machine,
    )
    yield calls.case(
        Family.CREDENTIALS,
        "a destroy without valid credentials",
        LEAKED,
        destroy(_refuse(ANY, "expired")),
        also=names_every_machine,
    )


def _going(calls: Calls) -> Iterator[Case]:
    yield calls.case(
        Family.GOING,
        "a machine is protected against deletion",
        LEAKED,
        cycle(impatient, lambda testbed: testbed.first_machine(testbed.protect)),
        also=names_every_machine,
    )
    yield calls.case(
        Family.GOING,
        "one of two nodes vanished since it was made",
        PASSED,
        destroy(lambda testbed: testbed.vanish(testbed.machines()[0])),
    )
    yield calls.case(
        Family.GOING,
        "nodes take long to go, and hold what they use until then",
        INFRASTRUCTURE,
        cycle(_slow_to_go),
    )
    yield calls.case(
        Family.LISTINGS,
        "listings lag behind by most of a settling time",
        INFRASTRUCTURE,
        cycle(_lagging),
        then="cycle",
    )
    yield calls.case(
        Family.GOING,
        "a machine of somebody else is beside ours",
        INFRASTRUCTURE,
        cycle(lambda testbed: testbed.add_bystander()),
    )


def _slow_to_go(testbed: LabTestbed) -> None:
    testbed.lab.timing.going = 1.5


def _lagging(testbed: LabTestbed) -> None:
    testbed.lag(0.8 * SETTLE)


def _interrupted(calls: Calls) -> Iterator[Case]:
    listing = calls.testbed.cloud.listing
    yield calls.case(
        Family.INTERRUPTION,
        "a node is interrupted as soon as it is made",
        INFRASTRUCTURE,
        cycle(long_boot, lambda testbed: testbed.first_machine(testbed.interrupt)),
    )
    yield calls.case(
        Family.INTERRUPTION,
        "a node is interrupted while it boots",
        INFRASTRUCTURE,
        cycle(long_boot, lambda testbed: _take_one(testbed, listing, "interrupt")),
        also=None if calls.testbed.cloud is AZURE else tells("interrupted during boot"),
    )
    yield calls.case(
        Family.INTERRUPTION,
        "a node vanishes without a word while it boots",
        INFRASTRUCTURE,
        cycle(long_boot, lambda testbed: _take_one(testbed, listing, "vanish")),
    )
    yield calls.case(
        Family.INTERRUPTION,
        "a node is interrupted while it is being ended",
        INFRASTRUCTURE,
        cycle(lambda testbed: _take_one(testbed, testbed.end, "interrupt", nth=1)),
    )


def _take_one(testbed: LabTestbed, call: str, how: str, nth: int = 2) -> None:
    testbed.once(call, lambda: getattr(testbed, how)(testbed.machines()[0]), nth)


def _stopped(calls: Calls) -> Iterator[Case]:
    create, end = calls.testbed.cloud.create, calls.testbed.end
    interrupt, terminate, hang_up = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    yield calls.case(
        Family.STOPPED, "Ctrl-C at the first call", STOPPED, signalled(calls.first, interrupt)
    )
    yield calls.case(
        Family.STOPPED,
        "Ctrl-C while nodes are being made",
        STOPPED,
        signalled(create, interrupt),
    )
    yield calls.case(
        Family.STOPPED,
        "SIGTERM while nodes boot",
        STOPPED,
        signalled(calls.testbed.cloud.listing, terminate, nth=3),
    )
    yield calls.case(
        Family.STOPPED, "SIGHUP while nodes are being ended", STOPPED, signalled(end, hang_up)
    )
    yield calls.case(
        Family.STOPPED,
        "Ctrl-C twice while nodes are being made",
        STOPPED,
        signalled(create, interrupt, interrupt),
        leaves=True,
    )
    yield calls.case(
        Family.STOPPED,
        "Ctrl-C while destroy ends nodes",
        STOPPED,
        signalled(end, interrupt, command="destroy"),
    )


def names_every_machine(testbed: LabTestbed, done: Done) -> Iterator[str]:
    """Every machine that is left is named with the command that ends it."""
    for id_ in testbed.machines():
        named = (id_, f"--name {id_.rpartition('/')[2]} ")
        said = [line for line in done.out.lower().splitlines() if any(n in line for n in named)]
        if not any("by hand: " in line for line in said):
            yield f"{id_} is left, and no line says how to end it by hand: {done}"


def tells_every_machine(testbed: LabTestbed, done: Done) -> Iterator[str]:
    """The same, but a machine that nobody could ask about yet may be told by its place, with the
    command that finds it."""
    if "whatever is in " not in done.out:
        yield from names_every_machine(testbed, done)


def tells(words: str) -> Also:
    """What is printed has these words."""

    def missing(testbed: LabTestbed, done: Done) -> Iterator[str]:
        del testbed
        if words not in done.out:
            yield f"it does not say {words!r}: {done}"

    return missing
