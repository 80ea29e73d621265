"""The screen of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final, TextIO

from spotdeploy.cli.tables import prefix, table, verdict_text
from spotdeploy.duration import spell
from spotdeploy.events import (
    LONGEST,
    BeforeEnded,
    BeforeOutput,
    BeforeSkipped,
    BeforeStarted,
    CheckAnswered,
    Event,
    GroupEnded,
    NodeCreated,
    NodeDestroyed,
    NodeEnded,
    NodeListed,
    Note,
    OfferTried,
    PhaseEnded,
    RunStarted,
    StepEnded,
    StepStarted,
)
from spotdeploy.labels import expires_at
from spotdeploy.model import DEFAULT_GROUP, Node, Verdict
from spotdeploy.run.outputs import output_lines
from spotdeploy.run.verdict import NodeOutcome, Outcome, told_once
from spotdeploy.text import below

DESTROY: Final = "spotdeploy destroy"
_STEPS = {"before": "Testing", "plan": "Planning", "destroy": "Destroying", "create": "Creating"}


class Screen(ABC):
    """An observer that shows a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._names: dict[str, str] = {}

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def say(self, text: str) -> None:
        """Show one line."""

    @abstractmethod
    def close(self) -> None:
        """Give the terminal back. Closing twice is fine."""

    def on(self, event: Event) -> None:
        """Show an event, when it is worth a line."""
        if isinstance(event, NodeCreated | NodeListed):
            group = "" if event.group == DEFAULT_GROUP else f"{event.group} "
            self._names[event.node] = f"{group}{event.name}"
        if (line := self.line(event)) is not None:
            self.say(of_cell(event.cell, line))

    def conclude(self, outcome: Outcome, destroy: str = DESTROY) -> None:
        """Show the outcome. `destroy` is the command that ends what stands."""
        self.end(summary(outcome, destroy), outcome.exit_code)

    def end(self, text: str, exit_code: int) -> None:
        """Show how it ended."""
        del exit_code
        self.say(text)

    def name(self, node: str) -> str:
        """The name of the node with that id, its group before it where the config names groups."""
        return self._names.get(node, node)

    def line(self, event: Event) -> str | None:
        """The event as a line, or None for what is not shown."""
        match event:
            case RunStarted():
                where = ", ".join(event.providers)
                return f"{event.command} of {event.deployment} on {where}, run {event.run}"
            case StepStarted():
                detail = f" {prefix(event.group)}{event.detail}".rstrip()
                return f"{_STEPS.get(event.step, event.step)}{detail}..."
            case StepEnded(step="before"):
                return None  # each test has said how it ended
            case StepEnded():
                how = f"{prefix(event.group)}{'' if event.ok else 'FAILED: '}"
                return f"  {how}{below(event.detail, limit=LONGEST)}"
            case GroupEnded() if prefix(event.group):
                detail = ": ".join(word for word in (event.verdict, event.detail) if word)
                return f"  group {event.group}: {below(detail, limit=LONGEST)}"
            case OfferTried():
                place = f"{event.provider} {event.zone or event.location} {event.size}"
                why = f" ({below(event.refusal, limit=300)})" if event.refusal else ""
                got = f"{event.got} of {event.asked}{why}"
                return f"  {prefix(event.group)}{place} {event.market}: {got}"
            case NodeDestroyed():
                return f"  {self._names.get(event.node, event.name)} is gone"
            case Note():
                who = f"{self.name(event.node)}: " if event.node else ""
                kind = "warning: " if event.warning else ""
                return f"  {who}{kind}{below(event.text, limit=600)}"
            case BeforeStarted() | BeforeOutput() | BeforeEnded() | BeforeSkipped():
                return before_line(event)
            case _:
                return self.node_line(event)

    def node_line(self, event: Event) -> str | None:
        """The line of an event of one node."""
        match event:
            case PhaseEnded():
                how = "done" if event.ok else f"FAILED: {below(event.detail, limit=600)}"
                return f"  {self.name(event.node)}: {event.phase} {how} ({spell(event.seconds)})"
            case CheckAnswered() if event.settled:
                how = "ok" if event.ok else f"FAILED: {below(event.detail, limit=600)}"
                return f"  {self.name(event.node)}: check {event.check} {how}"
            case NodeEnded():
                detail = f": {below(event.detail, limit=600)}" if event.detail else ""
                return f"  {self.name(event.node)}: {event.verdict}{detail}"
        return None


def before_line(event: BeforeStarted | BeforeOutput | BeforeEnded | BeforeSkipped) -> str | None:
    """The lines of what must pass before; what a command wrote cannot be taken for ours. Our own
    check of the syntax is shown when it failed."""
    match event:
        case BeforeStarted(command="syntax") | BeforeEnded(ok=True, exit_code=None):
            return None
        case BeforeStarted():
            return f"  $ {below(event.command, limit=LONGEST)}"
        case BeforeOutput():
            return "\n".join(f"    | {line}".rstrip() for line in event.lines)
        case BeforeEnded():
            how = "passed" if event.ok else f"FAILED: {below(event.detail, limit=600)}"
            return f"    {how} ({spell(round(event.seconds, 1))})"
        case BeforeSkipped():
            return f"  not run: {below(event.command, limit=200)} ({event.why})"


class PlainScreen(Screen):
    """One line for each event, for logs and pipes."""

    def close(self) -> None:
        """Nothing was taken."""

    def say(self, text: str) -> None:
        """Write the line; a reader that went away, a closed terminal or a full disk silences the
        screen, not the run. A character that the stream cannot take is spelled out."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError is that of a closed stream
            self._stream = StringIO()


def of_cell(cell: str, text: str) -> str:
    """The lines of a text, each of which says of which cell it is, where there is one."""
    return "\n".join(f"{cell}: {line}" for line in text.split("\n")) if cell else text


def summary(outcome: Outcome, destroy: str = DESTROY) -> str:
    """The nodes, what stands, and the verdict, ready to print."""
    lines = [""]
    if outcome.nodes:
        grouped = any(node.group != DEFAULT_GROUP for node in outcome.nodes)
        rows = [("NODE", "VERDICT", "PHASE", "CHECKS", "TIME"), *map(_row, outcome.nodes)]
        if grouped:
            cells = ["GROUP", *(node.group for node in outcome.nodes)]
            rows = [(cell, *row) for cell, row in zip(cells, rows, strict=True)]
        lines.append(table(rows))
        lines += failures(outcome.nodes)
        lines.append("")
    for refusal in outcome.refusals:
        lines.append(
            f"short: {prefix(refusal.group)}{refusal.offer} gave {refusal.got} of {refusal.asked}: "
            f"{below(refusal.message, limit=600)}"
        )
    lines += kept_lines(outcome.kept, destroy, failed=outcome.verdict is not Verdict.PASSED)
    if outcome.kept:
        lines += output_lines(outcome.outputs, "  ")
    left = [what for receipt in outcome.receipts for what in receipt.left]
    lines.append(verdict_text(outcome.verdict, outcome.message, left))
    return "\n".join(lines)


def kept_lines(
    nodes: Sequence[Node], destroy: str = DESTROY, *, failed: bool, now: float | None = None
) -> list[str]:
    """Which nodes still run, and of a run that failed until when, and what to do with them; a run
    of another name or config has a `destroy` command of its own."""
    if not nodes:
        return []
    lines = [f"running: {', '.join(n.name for n in nodes)}; end with '{destroy}'"]
    ends = [end for node in nodes if (end := expires_at(node.labels)) is not None]
    if failed and ends:
        now = time.time() if now is None else now
        left = spell(60 * (max(0.0, min(ends) - now) // 60))
        clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(min(ends)))
        lines.append(
            f"to be looked at until {clock} (for {left}), when they end themselves: 'spotdeploy "
            f"debug {nodes[0].name}' or 'spotdeploy ssh {nodes[0].name}'; the next cycle replaces "
            "them"
        )
    return lines


def _row(node: NodeOutcome) -> tuple[str, ...]:
    good = sum(check.ok for check in node.checks)
    checks = f"{good}/{len(node.checks)}" if node.checks else "-"
    return (
        node.node.name,
        node.verdict,
        node.phase,
        checks,
        spell(round(sum(node.seconds.values()), 1)),
    )


def failures(nodes: Iterable[NodeOutcome]) -> list[str]:
    """Why nodes did not pass, for each its failed checks, or else what it says. What several nodes
    failed at alike is one line."""
    told = ((one.node.name, one.node.address, text) for one in nodes for text in _why(one))
    return [f"  {line}" for line in told_once(told)]


def _why(node: NodeOutcome) -> list[str]:
    if node.verdict is Verdict.PASSED:
        return []
    failed = [check for check in node.checks if not check.ok]
    return [f"{check.name}: {below(check.detail, limit=1500)}" for check in failed] or [
        below(node.message, limit=1500)
    ]
