"""The report of a run: one model, built from events, which report.json is and every report shows.

Events may end anywhere: a killed run is reported as far as it came.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from spotdeploy.events import (
    CheckAnswered,
    Event,
    EvidenceKept,
    GroupEnded,
    GroupPlan,
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
from spotdeploy.model import DEFAULT_GROUP, FateKind, Node, Phase, Verdict
from spotdeploy.run.cost import Cost, PaidTime, by_provider, total
from spotdeploy.run.verdict import Outcome, Receipt

FORMAT: Final = 1


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of the run or a phase of a node. Times are Unix seconds."""

    name: str
    start: float
    end: float
    ok: bool
    detail: str = ""
    open: bool = False
    """True when its end was never reported: the run, or what is known of it, ends in the middle."""
    group: str = ""
    """The group that a step was for; empty when it was for the run as a whole."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something at one moment: a retry, a warning, a replacement. `at` is Unix seconds."""

    at: float
    text: str
    warning: bool = False


class CheckReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last answer of one check on one node. One that never became final is not `settled`."""

    name: str
    ok: bool
    settled: bool = True
    detail: str = ""
    seconds: float = 0.0
    """From the phase's start to this answer."""
    turns: int = 0
    """How often the answer turned from good to bad or back."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, one that was interrupted and replaced included. Times are Unix seconds."""

    id: str
    name: str
    provider: str
    location: str
    group: str = DEFAULT_GROUP
    zone: str | None = None
    size: str | None = None
    market: str = ""
    usd_per_hour: float | None = None
    verdict: Verdict | None = None
    """None while none was reached."""
    message: str = msgspec.field(default="", name="words")
    fate: FateKind | None = None
    """What the provider said became of it; asked when it failed."""
    phase: str = Phase.CREATE
    """The last phase it was in."""
    seconds: dict[str, float] = {}
    """Phase to seconds."""
    checks: tuple[CheckReport, ...] = ()
    evidence: str = ""
    """The folder, relative to the run's."""
    created: bool = True
    """False for a node that was there before the run."""
    start: float = 0.0
    """When it was created, or listed at first."""
    end: float = 0.0
    """When spotdeploy stopped working on it."""
    gone: float | None = None
    """When it was seen gone; None while it still runs."""
    phases: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def place(self) -> str:
        """Provider and zone or location, once when they are the same."""
        place = self.zone or self.location
        return place if place == self.provider else f"{self.provider} {place}"

    @property
    def passed(self) -> bool:
        """True when its verdict is PASSED."""
        return self.verdict is Verdict.PASSED

    @property
    def interrupted(self) -> bool:
        """True when the cloud took it back."""
        return self.fate is FateKind.INTERRUPTED


class TryReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One create call: what was asked, what came, and why not more in the cloud's own words."""

    provider: str
    location: str
    zone: str | None = None
    size: str = ""
    market: str = ""
    asked: int = 0
    got: int = 0
    refusal: str = ""
    group: str = DEFAULT_GROUP


class GroupReport(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a run."""

    name: str
    desired: int = msgspec.field(default=0, name="wanted")
    """Nodes asked for, all providers together."""
    quorum: int = 0
    """How many of them had to pass."""
    after: tuple[str, ...] = ()
    """The groups that it waited for."""
    verdict: Verdict | None = None
    """None while none was reached, and of a group that was not deployed."""
    message: str = msgspec.field(default="", name="words")
    waited_for: str = ""
    """The group that it waited for in vain, and was not deployed therefore."""
    passed: int = 0
    """How many nodes passed."""
    digest: str = ""
    """Of what was shipped to its nodes."""
    checks: tuple[str, ...] = ()
    """The names of its checks, in the order in which reports show them."""
    cost: Cost = Cost()


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. Times are Unix seconds; `usd` is USD."""

    format: int = FORMAT
    run: str
    deployment: str
    command: str
    providers: tuple[str, ...]
    digest: str
    started_at: float
    ended_at: float
    verdict: Verdict
    exit_code: int | None
    message: str = msgspec.field(name="words")
    desired: int = msgspec.field(name="wanted")
    shared: bool = False
    """Whether the providers shared what was asked for, in some group."""
    checks: tuple[str, ...]
    """Names, in the order in which reports show them."""
    cost: Cost
    costs: dict[str, Cost]
    """Provider to what its nodes cost."""
    nodes: tuple[NodeReport, ...]
    receipts: tuple[Receipt, ...] = ()
    kept: tuple[Node, ...] = ()
    """Nodes that still ran when the command ended."""
    outputs: dict[str, str | None] = {}
    """What `[outputs]` said of those; null for what was not known."""
    tries: tuple[TryReport, ...] = ()
    """The create calls, in their order."""
    steps: tuple[Span, ...] = ()
    """Of the run as a whole."""
    marks: tuple[Mark, ...] = ()
    """Of the run as a whole."""
    groups: tuple[GroupReport, ...] = ()
    """Each after those that it waited for. None in what versions without groups wrote."""

    @property
    def grouped(self) -> bool:
        """True when the config named groups: reports then say which one a node is of."""
        return any(group.name != DEFAULT_GROUP for group in self.groups)

    def nodes_of(self, group: str) -> tuple[NodeReport, ...]:
        """The nodes of a group."""
        return tuple(node for node in self.nodes if node.group == group)

    def group_of(self, node: NodeReport) -> GroupReport:
        """The group of a node."""
        alone = GroupReport(name=node.group, desired=self.desired, checks=self.checks)
        return next((group for group in self.groups if group.name == node.group), alone)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended_at - self.started_at

    @property
    def left(self) -> tuple[str, ...]:
        """What could not be proven gone, each with how to end it by hand."""
        return tuple(what for receipt in self.receipts for what in receipt.left)

    @property
    def passed(self) -> int:
        """How many nodes passed."""
        return sum(node.passed for node in self.nodes)

    @property
    def failed(self) -> tuple[NodeReport, ...]:
        """The nodes that did not pass, though a verdict was asked of them."""
        return tuple(node for node in self.nodes if node.verdict and not node.passed)


def build(
    events: Iterable[Event], outcome: Outcome | None = None, earlier: RunReport | None = None
) -> RunReport:
    """The report of one run. What events don't say comes from the outcome, or from the report that
    was written `earlier`. Unknown nodes and missing ends are no errors."""
    builder = _Builder()
    for event in events:
        builder.add(event)
    return builder.report(outcome or earlier)


def encode(report: RunReport) -> bytes:
    """The one form in which a run is given to programs: report.json, and the `--json` of what
    creates, verifies, destroys or reports it."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def report_schema_text() -> str:
    """The JSON Schema of that form, as indented JSON."""
    schema = msgspec.json.schema(RunReport)
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


@dataclass
class _NodeBuilder:
    """One node while its events come."""

    first: NodeCreated | NodeListed
    phases: list[PhaseStarted | PhaseEnded] = field(default_factory=list)
    answers: dict[str, list[CheckAnswered]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    ended: NodeEnded | None = None
    gone: float | None = None
    evidence: str = ""

    def report(self, last: float) -> NodeReport:
        first, ended = self.first, self.ended
        phases = tuple(_spans(self.phases, ended.at if ended else last))
        start = {phase.name: phase.start for phase in phases}.get(Phase.VERIFY, first.at)
        report = NodeReport(
            id=first.node,
            name=first.name,
            provider=first.provider,
            location=first.location,
            group=first.group,
            created=isinstance(first, NodeCreated),
            start=first.at,
            end=ended.at if ended else last,
            gone=self.gone,
            verdict=ended.verdict if ended else None,
            message=ended.detail if ended else "",
            fate=ended.fate if ended else None,
            phase=phases[-1].name if phases else Phase.CREATE,
            seconds={phase.name: round(phase.seconds, 3) for phase in phases},
            phases=phases,
            checks=tuple(_check(answers, start) for answers in self.answers.values()),
            marks=tuple(self.marks),
            evidence=self.evidence,
        )
        if isinstance(first, NodeListed):
            return report
        return msgspec.structs.replace(
            report,
            zone=first.zone,
            size=first.size,
            market=first.market,
            usd_per_hour=first.usd_per_hour,
        )


class _Builder:
    """A run while its events come."""

    def __init__(self) -> None:
        self._started = RunStarted(
            run="", command="", deployment="", providers=(), digest="", desired=0
        )
        self._ended: RunEnded | None = None
        self._first: float | None = None
        self._last = 0.0
        self._steps: list[StepStarted | StepEnded] = []
        self._tries: list[OfferTried] = []
        self._nodes: list[_NodeBuilder] = []
        self._by_id: dict[str, _NodeBuilder] = {}
        self._marks: list[Mark] = []
        self._groups_ended: dict[str, GroupEnded] = {}

    def add(self, event: Event) -> None:
        self._first = event.at if self._first is None else self._first
        self._last = max(self._last, event.at)
        match event:
            case RunStarted():
                self._started = event
            case RunEnded():
                self._ended = event
            case StepStarted() | StepEnded():
                self._steps.append(event)
                if isinstance(event, StepStarted):
                    self._groups_ended.pop(event.group, None)  # it is deployed afresh
            case GroupEnded():
                self._groups_ended[event.group] = event
            case OfferTried():
                self._tries.append(event)
            case NodeCreated() | NodeListed():
                self._by_id[event.node] = node = _NodeBuilder(event)
                self._nodes.append(node)
            case Note() if event.node not in self._by_id:
                self._marks.append(Mark(event.at, event.text, event.warning))
            case _:
                self._add_to_node(event)

    def _add_to_node(self, event: Event) -> None:
        node = self._by_id.get(getattr(event, "node", ""))
        if node is None:
            return  # of an earlier run, or not known
        match event:
            case Note():
                node.marks.append(Mark(event.at, event.text, event.warning))
            case NodeDestroyed():
                node.gone = event.at
            case PhaseStarted() | PhaseEnded():
                node.phases.append(event)
            case CheckAnswered():
                node.answers.setdefault(event.check, []).append(event)
            case NodeEnded():
                node.ended = event
            case EvidenceKept():
                node.evidence = event.folder

    def report(self, source: Outcome | RunReport | None) -> RunReport:
        started, ended = self._started, self._ended
        nodes = tuple(node.report(self._last) for node in self._nodes)
        answered = dict.fromkeys(check.name for node in nodes for check in node.checks)
        paid = _paid(nodes, self._last)
        return RunReport(
            run=started.run,
            deployment=started.deployment,
            command=started.command,
            providers=started.providers,
            digest=started.digest,
            started_at=started.at or self._first or 0.0,
            ended_at=self._last,
            verdict=ended.verdict if ended else Verdict.UNFINISHED,
            exit_code=ended.exit_code if ended else None,
            message=ended.detail if ended else "",
            desired=started.desired,
            shared=started.shared,
            checks=tuple(dict.fromkeys((*started.checks, *answered))),
            cost=total(paid),
            costs=by_provider(paid),
            nodes=nodes,
            receipts=source.receipts if source else (),
            kept=source.kept if source else (),
            outputs=dict(source.outputs) if source else {},
            tries=tuple(map(_try, self._tries)),
            steps=tuple(_spans(self._steps, self._last)),
            marks=tuple(self._marks),
            groups=tuple(self._group(plan, nodes) for plan in self._plans(nodes)),
        )

    def _plans(self, nodes: Sequence[NodeReport]) -> Iterable[GroupPlan]:
        """The groups that the run was to make, and those that only its nodes name."""
        plans = self._started.groups
        known = {plan.name for plan in plans}
        others = dict.fromkeys(node.group for node in nodes if node.group not in known)
        return (*plans, *(GroupPlan(name=name, desired=0, quorum=0) for name in others if plans))

    def _group(self, plan: GroupPlan, nodes: Sequence[NodeReport]) -> GroupReport:
        mine = [node for node in nodes if node.group == plan.name]
        ended = self._groups_ended.get(plan.name, GroupEnded(group=plan.name))
        answered = dict.fromkeys(check.name for node in mine for check in node.checks)
        return GroupReport(
            name=plan.name,
            desired=plan.desired,
            quorum=plan.quorum,
            after=plan.after,
            verdict=ended.verdict,
            message=ended.detail,
            waited_for=ended.waited_for,
            passed=sum(node.passed for node in mine),
            digest=plan.digest,
            checks=tuple(dict.fromkeys((*plan.checks, *answered))),
            cost=total(_paid(mine, self._last)),
        )


def _paid(nodes: Iterable[NodeReport], until: float) -> tuple[PaidTime, ...]:
    """The paid time of every node that the run created: until it was seen gone, or `until`."""
    return tuple(
        PaidTime(node.provider, max(0.0, (node.gone or until) - node.start), node.usd_per_hour)
        for node in nodes
        if node.created
    )


def _spans(
    events: Iterable[StepStarted | StepEnded | PhaseStarted | PhaseEnded], last: float
) -> Iterable[Span]:
    """Starts and ends joined, the steps of each group for themselves; one whose end never came
    lasts until `last`."""
    begun: dict[tuple[str, str], float] = {}
    spans: list[Span] = []
    for event in events:
        if isinstance(event, StepStarted | StepEnded):
            name, group = event.step, event.group
        else:
            name, group = event.phase, ""
        if isinstance(event, StepStarted | PhaseStarted):
            begun[name, group] = event.at
        else:
            start = begun.pop((name, group), event.at)
            spans.append(Span(name, start, event.at, event.ok, event.detail, group=group))
    spans += [
        Span(name, at, max(at, last), ok=False, open=True, group=group)
        for (name, group), at in begun.items()
    ]
    return sorted(spans, key=lambda span: span.start)


def _check(answers: list[CheckAnswered], start: float) -> CheckReport:
    last = answers[-1]
    return CheckReport(
        name=last.check,
        ok=last.ok,
        settled=last.settled,
        detail=last.detail,
        seconds=round(max(0.0, last.at - start), 3),
        turns=sum(a.ok != b.ok for a, b in itertools.pairwise(answers)),
    )


def _try(event: OfferTried) -> TryReport:
    names = TryReport.__struct_fields__
    return TryReport(**{name: getattr(event, name) for name in names})
