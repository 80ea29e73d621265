"""From events to a story. Events may end anywhere: a killed run is told as far as it came."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from spotdeploy.events import (
    CheckAnswered,
    Event,
    EvidenceKept,
    NodeCreated,
    NodeDestroyed,
    NodeEnded,
    NodeListed,
    Note,
    OfferTried,
    PhaseEnded,
    PhaseStarted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
)
from spotdeploy.report.story import UNFINISHED, Answer, Lane, Mark, Story, Stretch

_NO_START = RunStarted(run="", command="", deployment="", providers=(), digest="", desired=0)


def tell(events: Iterable[Event]) -> Story:
    """The story of one run. Unknown nodes and missing ends are no errors."""
    teller = _Teller()
    for event in events:
        teller.receive(event)
    return teller.story()


@dataclass
class _Node:
    """One lane while it is told."""

    born: NodeCreated | NodeListed
    phases: list[PhaseStarted | PhaseEnded] = field(default_factory=list)
    answers: dict[str, list[CheckAnswered]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    ended: NodeEnded | None = None
    gone: float | None = None
    evidence: EvidenceKept | None = None

    def lane(self, last: float) -> Lane:
        born, ended = self.born, self.ended
        phases = tuple(_stretches(self.phases, ended.at if ended else last))
        start = {phase.name: phase.start for phase in phases}.get("verify", born.at)
        made = isinstance(born, NodeCreated)
        return Lane(
            id=born.node,
            name=born.name,
            provider=born.provider,
            location=born.location,
            zone=getattr(born, "zone", None),
            size=getattr(born, "size", None),
            market=getattr(born, "market", ""),
            usd_per_hour=getattr(born, "usd_per_hour", None),
            made=made,
            start=born.at,
            end=ended.at if ended else last,
            gone=self.gone,
            verdict=ended.verdict if ended else "",
            detail=ended.detail if ended else "",
            fate=(ended.fate or "") if ended else "",
            phases=phases,
            checks=tuple(_answer(received, start) for received in self.answers.values()),
            marks=tuple(self.marks),
            evidence=self.evidence,
        )


class _Teller:
    def __init__(self) -> None:
        self._started = _NO_START
        self._ended: RunEnded | None = None
        self._first: float | None = None
        self._last = 0.0
        self._steps: list[StepStarted | StepEnded] = []
        self._tries: list[OfferTried] = []
        self._lanes: list[_Node] = []
        self._by_id: dict[str, _Node] = {}
        self._marks: list[Mark] = []
        self._before: list[NodeDestroyed] = []

    def receive(self, event: Event) -> None:
        self._first = event.at if self._first is None else self._first
        self._last = max(self._last, event.at)
        match event:
            case RunStarted():
                self._started = event
            case RunEnded():
                self._ended = event
            case StepStarted() | StepEnded():
                self._steps.append(event)
            case OfferTried():
                self._tries.append(event)
            case NodeCreated() | NodeListed():
                self._by_id[event.node] = node = _Node(event)
                self._lanes.append(node)
            case _:
                self._hear_of_node(event)

    def _hear_of_node(self, event: Event) -> None:
        node = self._by_id.get(getattr(event, "node", ""))
        match event:
            case NodeDestroyed() if node is None:
                self._before.append(event)
            case Note():
                marks = self._marks if node is None else node.marks
                marks.append(Mark(event.at, event.text, event.warning))
            case NodeDestroyed() if node is not None:
                node.gone = event.at
            case PhaseStarted() | PhaseEnded() if node is not None:
                node.phases.append(event)
            case CheckAnswered() if node is not None:
                node.answers.setdefault(event.check, []).append(event)
            case NodeEnded() if node is not None:
                node.ended = event
            case EvidenceKept() if node is not None:
                node.evidence = event

    def story(self) -> Story:
        started, ended = self._started, self._ended
        lanes = tuple(node.lane(self._last) for node in self._lanes)
        seen = dict.fromkeys(answer.name for lane in lanes for answer in lane.checks)
        return Story(
            run=started.run,
            command=started.command,
            deployment=started.deployment,
            providers=started.providers,
            digest=started.digest,
            desired=started.desired,
            checks=tuple(dict.fromkeys((*started.checks, *seen))),
            start=started.at or self._first or 0.0,
            end=self._last,
            verdict=ended.verdict if ended else UNFINISHED,
            exit_code=ended.exit_code if ended else None,
            message=ended.detail if ended else "",
            steps=tuple(_stretches(self._steps, self._last)),
            tries=tuple(self._tries),
            lanes=lanes,
            marks=tuple(self._marks),
            before=tuple(self._before),
        )


def _stretches(
    events: Iterable[StepStarted | StepEnded | PhaseStarted | PhaseEnded], last: float
) -> Iterable[Stretch]:
    """Starts and ends joined; one whose end never came lasts until `last`."""
    begun: dict[str, float] = {}
    reported: list[Stretch] = []
    for event in events:
        name = event.step if isinstance(event, StepStarted | StepEnded) else event.phase
        if isinstance(event, StepStarted | PhaseStarted):
            begun[name] = event.at
        else:
            start = begun.pop(name, event.at)
            reported.append(Stretch(name, start, event.at, event.ok, event.detail))
    reported += [
        Stretch(name, start, max(start, last), False, "", True) for name, start in begun.items()
    ]
    return sorted(reported, key=lambda stretch: stretch.start)


def _answer(received: list[CheckAnswered], start: float) -> Answer:
    last = received[-1]
    turns = sum(a.ok != b.ok for a, b in itertools.pairwise(received))
    seconds = max(0.0, last.at - start)
    return Answer(last.check, last.ok, last.settled, last.detail, seconds, turns)
