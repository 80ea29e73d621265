"""The end of a run in a few lines."""

from __future__ import annotations

from spotdeploy.cli.tables import table
from spotdeploy.duration import spell
from spotdeploy.run.verdict import NodeOutcome, Outcome, Verdict
from spotdeploy.text import below


def summary(outcome: Outcome) -> str:
    """The nodes, what stands, and the verdict, ready to print."""
    lines = [""]
    if outcome.nodes:
        lines += [
            table([("NODE", "VERDICT", "PHASE", "CHECKS", "TIME"), *map(_row, outcome.nodes)])
        ]
        lines += [line for node in outcome.nodes for line in _failed_checks(node)]
        lines.append("")
    for refusal in outcome.refusals:
        lines.append(
            f"short: {refusal.offer} gave {refusal.got} of {refusal.asked}: "
            f"{below(refusal.words, limit=600)}"
        )
    if outcome.kept:
        names = ", ".join(node.name for node in outcome.kept)
        lines.append(f"running: {names}; end with 'spotdeploy destroy'")
    words = f": {below(outcome.words, limit=2000)}" if outcome.words else ""
    lines.append(f"{outcome.verdict.upper()}{words}")
    return "\n".join(lines)


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


def _failed_checks(node: NodeOutcome) -> list[str]:
    if node.verdict is Verdict.PASSED:
        return []
    failed = [check for check in node.checks if not check.ok]
    return [
        f"  {node.node.name}: {check.name}: {below(check.detail, limit=1500)}" for check in failed
    ] or [f"  {node.node.name}: {below(node.words, limit=1500)}"]
