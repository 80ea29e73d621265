"""What happens in a run, as typed events. The journal, the screen and the reports only listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from spotdeploy.model import DEFAULT_GROUP, FateKind, Verdict
from spotdeploy.text import plain


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """The base of all events. `at` is Unix time in seconds."""

    at: float = 0.0
    cell: str = ""
    """The cell of the matrix that it is of, by its deployment's name."""


class GroupPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group as the run was to make it."""

    name: str
    desired: int = msgspec.field(name="wanted")
    """Nodes asked for, all providers together."""
    quorum: int
    """How many of them must pass."""
    after: tuple[str, ...] = ()
    """The groups that it waits for."""
    digest: str = ""
    """Of what is shipped to its nodes."""
    checks: tuple[str, ...] = ()
    """The names of the checks that run on its nodes."""


class RunStarted(Event, frozen=True, tag="run-started"):
    """A run began."""

    run: str
    command: str
    deployment: str
    providers: tuple[str, ...]
    digest: str
    desired: int = msgspec.field(name="wanted")
    """Nodes asked for, all providers together."""
    shared: bool = False
    """Whether the providers share what is asked for, in some group: no number is that of one."""
    checks: tuple[str, ...] = ()
    """The names of the checks that run on the nodes of some group."""
    groups: tuple[GroupPlan, ...] = ()
    """Each after those that it waits for. A config that names no groups has one, "nodes"."""


class StepStarted(Event, frozen=True, tag="step-started"):
    """The run begins a step, for example "destroy"."""

    step: str
    detail: str = ""
    group: str = ""
    """The group that the step is for; empty when it is for the run as a whole."""


class StepEnded(Event, frozen=True, tag="step-ended"):
    """The step ended, well or not."""

    step: str
    ok: bool
    detail: str = ""
    group: str = ""


class BeforeStarted(Event, frozen=True, tag="before-started"):
    """What must pass on this computer before anything is destroyed began, as its `number`."""

    number: int
    """From 1."""
    command: str
    """The command as the config has it; "syntax" is spotdeploy's own check of what is shipped."""


class BeforeOutput(Event, frozen=True, tag="before-output"):
    """Lines that it wrote, to standard output or standard error."""

    number: int
    lines: tuple[str, ...]


class BeforeEnded(Event, frozen=True, tag="before-ended"):
    """It ended, well or not. Nothing is destroyed or made when one did not."""

    number: int
    ok: bool
    seconds: float
    exit_code: int | None = None
    """That of the command; null for "syntax", and where it did not end by itself."""
    detail: str = ""
    """Why it failed."""


class BeforeSkipped(Event, frozen=True, tag="before-skipped"):
    """It was not run."""

    number: int
    command: str
    why: str


class OfferTried(Event, frozen=True, tag="offer-tried"):
    """One create call: what was asked, what came, and why not more."""

    provider: str
    location: str
    zone: str | None
    size: str
    market: str
    asked: int
    got: int
    refusal: str = ""
    group: str = DEFAULT_GROUP


class NodeCreated(Event, frozen=True, tag="node-created"):
    """The cloud gave a node."""

    node: str
    name: str
    provider: str
    location: str
    zone: str | None
    size: str | None
    market: str
    usd_per_hour: float | None = None
    group: str = DEFAULT_GROUP


class NodeListed(Event, frozen=True, tag="node-listed"):
    """A node that existed before this run takes part in it."""

    node: str
    name: str
    provider: str
    location: str
    group: str = DEFAULT_GROUP


class PhaseStarted(Event, frozen=True, tag="phase-started"):
    """A node entered a phase."""

    node: str
    phase: str


class PhaseProgress(Event, frozen=True, tag="phase-progress"):
    """What a node works on in its phase: while it boots, why ssh does not answer yet; while it
    deploys, the last line of the entry's log, at most every two seconds, and less often with many
    nodes."""

    node: str
    text: str


class PhaseEnded(Event, frozen=True, tag="phase-ended"):
    """A node left a phase."""

    node: str
    phase: str
    ok: bool
    seconds: float
    detail: str = ""


class CheckAnswered(Event, frozen=True, tag="check-answered"):
    """A check's answer changed, or became final (`settled`)."""

    node: str
    check: str
    ok: bool
    settled: bool
    detail: str = ""


class NodeEnded(Event, frozen=True, tag="node-ended"):
    """spotdeploy stopped working on a node."""

    node: str
    verdict: Verdict
    detail: str = ""
    fate: FateKind | None = None
    """What the provider said became of it, for example "interrupted"; asked when it failed."""


class EvidenceKept(Event, frozen=True, tag="evidence-kept"):
    """What a node could show was brought back."""

    node: str
    folder: str
    """Relative to the run's folder; its index.json names the files."""
    files: int
    problem: str = ""


class GroupEnded(Event, frozen=True, tag="group-ended"):
    """All nodes of a group have ended, or it was not deployed. One that is deployed afresh ends
    again."""

    group: str
    verdict: Verdict | None = None
    """None for one that was not deployed."""
    detail: str = ""
    waited_for: str = ""
    """The group that it waited for in vain, and was not deployed therefore."""


class NodeDestroyed(Event, frozen=True, tag="node-destroyed"):
    """A node was seen gone."""

    node: str
    name: str
    provider: str
    location: str


class Note(Event, frozen=True, tag="note"):
    """Something worth a line: a retry, a warning, a replacement."""

    text: str
    node: str = ""
    warning: bool = False


class RunEnded(Event, frozen=True, tag="run-ended"):
    """The verdict."""

    run: str
    verdict: Verdict
    exit_code: int
    detail: str = ""


AnyEvent = (
    RunStarted
    | StepStarted
    | StepEnded
    | BeforeStarted
    | BeforeOutput
    | BeforeEnded
    | BeforeSkipped
    | OfferTried
    | NodeCreated
    | NodeListed
    | PhaseStarted
    | PhaseProgress
    | PhaseEnded
    | CheckAnswered
    | NodeEnded
    | EvidenceKept
    | GroupEnded
    | NodeDestroyed
    | Note
    | RunEnded
)


LONGEST: Final = 64_000
"""Characters of a text in an event; node output of any length ends here at the latest."""


def _harmless(event: Event) -> dict[str, str | tuple[str, ...]]:
    """The texts of an event that hold what a terminal obeys or a file cannot hold, without it."""
    texts = ((name, getattr(event, name)) for name in event.__struct_fields__)
    found: dict[str, str | tuple[str, ...]] = {
        name: plain(text, limit=LONGEST)
        for name, text in texts
        if isinstance(text, str) and not _is_harmless(text)
    }
    if isinstance(event, BeforeOutput) and not all(map(_is_harmless, event.lines)):
        found["lines"] = tuple(plain(line, limit=LONGEST, strip=False) for line in event.lines)
    return found


def _is_harmless(text: str) -> bool:
    return len(text) <= LONGEST and text.isprintable()


class Observer(Protocol):
    """Anything that listens. Must return quickly and must not raise."""

    def on(self, event: Event) -> None:
        """Take one event."""


class Bus:
    """Stamps events with the time, makes their texts harmless, takes secrets out of them and hands
    them to the observers."""

    def __init__(
        self,
        *observers: Observer,
        now: Callable[[], float] = time.time,
        redact: Callable[[Event], Event] | None = None,
    ) -> None:
        self._observers = list(observers)
        self._now = now
        self._redact = redact

    def attach(self, observer: Observer) -> None:
        """Let one more observer listen from now on."""
        self._observers.append(observer)

    def detach(self, observer: Observer) -> None:
        """Let it listen no longer."""
        self._observers.remove(observer)

    def emit(self, event: Event) -> None:
        """Hand one event to every observer, in order."""
        if self._redact is not None:
            event = self._redact(event)  # the raw texts, before any of them is cut
        stamped = msgspec.structs.replace(event, at=self._now(), **_harmless(event))
        for observer in self._observers:
            observer.on(stamped)
