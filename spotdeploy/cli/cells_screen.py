"""The screen of the run of a matrix, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from spotdeploy.cli.screen import DESTROY, PlainScreen, Screen, failures, kept_lines
from spotdeploy.cli.tables import table, verdict_text
from spotdeploy.matrix.run import CellOutcome, MatrixOutcome
from spotdeploy.run.outputs import output_lines
from spotdeploy.text import below, counted

HEADER = ("CELL", "VALUES", "VERDICT", "NODES", "CHECKS")


def new_cells_screen(stream: TextIO) -> Screen:
    """The screen that fits the stream."""
    if stream.isatty():
        from spotdeploy.cli.live_cells import CellsScreen

        return CellsScreen(stream)
    return PlainScreen(stream)


def cells_summary(outcome: MatrixOutcome, destroy: str = DESTROY) -> str:
    """The cells, what stands, and the verdict, ready to print."""
    if outcome.untouched:
        return f"\n{verdict_text(outcome.verdict, outcome.untouched, [])}"
    lines = ["", table([HEADER, *(_row(cell, outcome) for cell in outcome.cells)])]
    lines += [line for cell in outcome.failed for line in _why(cell)]
    lines.append("")
    runs = [cell.outcome for cell in outcome.cells if cell.outcome]
    kept = [node for run in runs for node in run.kept]
    lines += kept_lines(kept, destroy, failed=bool(outcome.failed))
    if kept:
        lines += [
            line for one in runs for line in output_lines(one.outputs, f"  {one.deployment}: ")
        ]
    left = [what for run in runs for receipt in run.receipts for what in receipt.left]
    good, all_ = len(outcome.cells) - len(outcome.failed), counted(len(outcome.cells), "cell")
    message = f"{good} of {all_} passed" if outcome.failed else f"{all_} passed"
    lines.append(verdict_text(outcome.verdict, message, left))
    return "\n".join(lines)


def _row(one: CellOutcome, outcome: MatrixOutcome) -> tuple[str, ...]:
    nodes = one.outcome.nodes if one.outcome else ()
    desired = one.outcome.desired if one.outcome else 0
    asked = [check for node in nodes for check in node.checks]
    return (
        one.name,
        str(one.cell) if one.cell.values else "-",
        one.verdict if one.command == outcome.command else f"{one.verdict} ({one.command})",
        f"{sum(node.passed for node in nodes)}/{desired}" if desired else "-",
        f"{sum(check.ok for check in asked)}/{len(asked)}" if asked else "-",
    )


def _why(one: CellOutcome) -> Iterator[str]:
    nodes = one.outcome.nodes if one.outcome else ()
    lines = failures(nodes) or [f"  {below(one.message, limit=1500)}"]
    names = tuple(f"  {node.node.name}: " for node in nodes)
    for line in lines:
        yield line if line.startswith(names) else f"  {one.name}: {line.strip()}"
