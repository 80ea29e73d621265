"""How a run and its nodes ended, and the verdict that follows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spotdeploy import labels
from spotdeploy.model import DEFAULT_GROUP, Fate, Node, Phase, Resource, Verdict
from spotdeploy.text import counted

WORST_FIRST: Final = (
    Verdict.LEAKED,
    Verdict.STOPPED,
    Verdict.INFRASTRUCTURE_FAILED,
    Verdict.PAYLOAD_FAILED,
    Verdict.TESTS_FAILED,
    Verdict.PASSED,
)
CODES_WORST_FIRST: Final = (4, 70, 130, 3, 1, 2, 0)
"""Exit codes: one that comes before another outranks it."""


def worst(codes: Iterable[int]) -> int:
    """The exit code of several runs: the one that outranks the others."""
    return min(codes, key=CODES_WORST_FIRST.index, default=0)


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """How one check ended on one node."""

    name: str
    ok: bool
    detail: str = ""
    seconds: float = 0.0
    """From its first question to its last answer."""
    asked: int = 0
    """How many times it was asked."""


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """How one node ended."""

    node: Node
    verdict: Verdict
    phase: Phase
    """The last phase it was in."""
    message: str = ""
    """Why it did not pass, in one line."""
    checks: tuple[CheckOutcome, ...] = ()
    fate: Fate | None = None
    """Asked of the provider when the node failed."""
    seconds: dict[Phase, float] = field(default_factory=dict)
    """Phase to seconds spent in it."""

    @property
    def passed(self) -> bool:
        """True when its verdict is PASSED."""
        return self.verdict is Verdict.PASSED

    @property
    def group(self) -> str:
        """The group that the node belongs to."""
        return labels.group_of(self.node.labels)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A place that gave nothing, or less than was asked, and why."""

    offer: str
    asked: int
    got: int
    message: str
    group: str = DEFAULT_GROUP


@dataclass(frozen=True, slots=True)
class Proof:
    """How one destroyed node is known to be gone. Times are Unix seconds, by this computer."""

    id: str
    name: str
    provider: str
    location: str
    made_at: float
    """When it was made, or first seen by this journal."""
    seen_at: float
    """When a listing last showed it."""
    gone_at: float
    gone_by: str
    """Which listing first lacked it for good."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that a destroy left nothing, or the list of what it could not prove gone."""

    destroyed: tuple[Node, ...] = ()
    proofs: tuple[Proof, ...] = ()
    """One for each destroyed node."""
    released: tuple[Resource, ...] = ()
    listings: int = 0
    """How many listings in a row showed nothing at the end."""
    seconds: float = 0.0
    left: tuple[str, ...] = ()
    """What could not be proven gone, each with how to finish by hand."""
    ending: tuple[str, ...] = ()
    """What held nodes that are proven gone, and what the cloud was still deleting itself."""

    @property
    def clean(self) -> bool:
        """True when nothing is left."""
        return not self.left


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    run: str
    deployment: str
    verdict: Verdict
    message: str = ""
    desired: int = 0
    nodes: tuple[NodeOutcome, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    kept: tuple[Node, ...] = ()
    """Nodes that still run when the command ends."""
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    """What `[outputs]` says of those; None for what is not known."""

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return self.verdict.exit_code


def told_once(messages: Iterable[tuple[str, str | None, str]]) -> list[str]:
    """What is told of nodes, each behind its node's name, in their order; what is told of several
    is told once, with their number. Given are name, address and message. Where each names itself,
    it says "<name>" or "<address>"."""
    alike: dict[str, dict[str, str]] = {}
    for name, address, message in messages:
        form = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<name>", message)
        if address:
            form = re.sub(rf"(?<![\w.]){re.escape(address)}(?![\w])", "<address>", form)
        alike.setdefault(form, {})[name] = message
    return [
        f"{len(some)} nodes: {form}" if len(some) > 1 else ": ".join(*some.items())
        for form, some in alike.items()
    ]


def judge(
    nodes: Sequence[NodeOutcome],
    receipts: Sequence[Receipt],
    *,
    desired: int,
    quorum: int,
    refusals: Sequence[Refusal] = (),
    created: int | None = None,
    stopped: bool = False,
) -> tuple[Verdict, str]:
    """The verdict of a run and why, in one line.

    A leak outranks everything, then infrastructure, then payload. `quorum` of `desired` nodes
    must have passed; infrastructure trouble on the others is then only reported.
    """
    left = [what for receipt in receipts for what in receipt.left]
    if left:
        return Verdict.LEAKED, f"not proven gone: {'; '.join(left)}"
    if stopped:
        return Verdict.STOPPED, "stopped by the user"
    passed = [n for n in nodes if n.passed]
    infrastructure = [n for n in nodes if n.verdict is Verdict.INFRASTRUCTURE_FAILED]
    payload = [n for n in nodes if n.verdict is Verdict.PAYLOAD_FAILED]
    if len(passed) + len(payload) < quorum:
        missing = desired - (len(nodes) if created is None else created)
        reasons = told_once((n.node.name, n.node.address, n.message) for n in infrastructure)
        if missing > 0:
            some = f"{missing} of {counted(desired, 'node')}"
            reasons.append(f"{some} could not be created{_why(refusals)}")
        return Verdict.INFRASTRUCTURE_FAILED, "; ".join(reasons)
    if payload:
        return Verdict.PAYLOAD_FAILED, "; ".join(
            told_once((n.node.name, n.node.address, n.message) for n in payload)
        )
    if len(passed) < desired:
        some = f"{len(passed)} of {desired} nodes are healthy"
        return Verdict.PASSED, f"{some}, and the quorum is {quorum}"
    healthy = "1 node is healthy" if desired == 1 else f"all {desired} nodes are healthy"
    return Verdict.PASSED, healthy


def join(judged: Mapping[str, tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """The verdict over several groups and why: the worst, with the words of each group that ended
    so. What holds for the run as a whole is said once."""
    worst = min((verdict for verdict, _ in judged.values()), key=WORST_FIRST.index)
    said = {name: message for name, (verdict, message) in judged.items() if verdict is worst}
    if len(judged) == 1 or worst in (Verdict.LEAKED, Verdict.STOPPED):
        return worst, next(iter(said.values()))
    return worst, "; ".join(f"{name}: {message}" for name, message in said.items())


def _why(refusals: Sequence[Refusal]) -> str:
    reasons = dict.fromkeys(f"{refusal.offer}: {refusal.message}" for refusal in refusals)
    return f" ({'; '.join(reasons)})" if reasons else ""
