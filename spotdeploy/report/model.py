"""report.json: a run as data, for programs, for history and for the reports that people read."""

from __future__ import annotations

from typing import Final

import msgspec

from spotdeploy.events import OfferTried
from spotdeploy.model import Node
from spotdeploy.report.story import Lane, Story, paid
from spotdeploy.run.cost import Cost, by_provider, total
from spotdeploy.run.verdict import Outcome, Receipt

FORMAT: Final = 1


class CheckReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check on one node. An answer that never became final is not `settled`."""

    name: str
    ok: bool
    settled: bool = True
    detail: str = ""
    seconds: float = 0.0
    turns: int = 0


class NodeReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, one that was interrupted and replaced included."""

    id: str
    name: str
    provider: str
    location: str
    zone: str | None = None
    size: str | None = None
    market: str = ""
    usd_per_hour: float | None = None
    verdict: str = ""
    message: str = msgspec.field(default="", name="words")
    fate: str = ""
    phase: str = ""
    seconds: dict[str, float] = {}
    """Phase to seconds."""
    checks: tuple[CheckReport, ...] = ()
    evidence: str = ""
    """The folder, relative to the run's."""


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
    verdict: str
    exit_code: int | None
    message: str = msgspec.field(name="words")
    desired: int = msgspec.field(name="wanted")
    checks: tuple[str, ...]
    cost: Cost
    costs: dict[str, Cost]
    """Provider to what its nodes cost."""
    nodes: tuple[NodeReport, ...]
    receipts: tuple[Receipt, ...] = ()
    kept: tuple[Node, ...] = ()
    """Nodes that still ran when the command ended."""
    tries: tuple[TryReport, ...] = ()
    """The create calls, in their order."""

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended_at - self.started_at

    @property
    def passed(self) -> int:
        """How many nodes passed."""
        return sum(node.verdict == "passed" for node in self.nodes)


def compose(
    story: Story, outcome: Outcome | None = None, earlier: RunReport | None = None
) -> RunReport:
    """The report of a story. What events don't tell comes from the outcome, or from the report
    that was written `earlier`."""
    spans = paid(story.lanes, story.end)
    source = outcome or earlier
    return RunReport(
        run=story.run,
        deployment=story.deployment,
        command=story.command,
        providers=story.providers,
        digest=story.digest,
        started_at=story.start,
        ended_at=story.end,
        verdict=story.verdict,
        exit_code=story.exit_code,
        message=story.message,
        desired=story.desired,
        checks=story.checks,
        cost=total(spans),
        costs=by_provider(spans),
        nodes=tuple(_node(lane) for lane in story.lanes),
        receipts=source.receipts if source else (),
        kept=source.kept if source else (),
        tries=tuple(_try(one) for one in story.tries),
    )


def encode(report: RunReport) -> bytes:
    """The one form in which a run is given to programs: report.json, and the `--json` of what
    makes, verifies, destroys or reports it."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def report_schema_text() -> str:
    """The JSON Schema of that form, as indented JSON."""
    schema = msgspec.json.schema(RunReport)
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


def _try(reported: OfferTried) -> TryReport:
    return TryReport(
        provider=reported.provider,
        location=reported.location,
        zone=reported.zone,
        size=reported.size,
        market=reported.market,
        asked=reported.asked,
        got=reported.got,
        refusal=reported.refusal,
    )


def _node(lane: Lane) -> NodeReport:
    return NodeReport(
        id=lane.id,
        name=lane.name,
        provider=lane.provider,
        location=lane.location,
        zone=lane.zone,
        size=lane.size,
        market=lane.market,
        usd_per_hour=lane.usd_per_hour,
        verdict=lane.verdict,
        message=lane.detail,
        fate=lane.fate,
        phase=lane.phase,
        seconds={phase.name: round(phase.seconds, 3) for phase in lane.phases},
        checks=tuple(
            CheckReport(
                name=answer.name,
                ok=answer.ok,
                settled=answer.settled,
                detail=answer.detail,
                seconds=round(answer.seconds, 3),
                turns=answer.turns,
            )
            for answer in lane.checks
        ),
        evidence=lane.evidence.folder if lane.evidence else "",
    )
