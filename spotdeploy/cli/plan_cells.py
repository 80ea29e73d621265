"""`spotdeploy plan` of a matrix: its cells, their first candidates, and what all would cost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from spotdeploy.cli.tables import json_text, table
from spotdeploy.cycle.budget import expected_cost
from spotdeploy.duration import spell
from spotdeploy.events import Bus
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.project import Matrix
from spotdeploy.model import FileKind
from spotdeploy.phases.before import BeforeTest, Bench, require_syntax, title, wanted_tests
from spotdeploy.phases.plan import Prospects, ask_offers, read_plans
from spotdeploy.project import Project
from spotdeploy.run.context import Run, open_run
from spotdeploy.run.cost import spell_usd
from spotdeploy.text import counted, plain

HEADER: Final = ("CELL", "VALUES", "NODES", "FIRST CANDIDATE", "USD/HOUR", "EXPECTED COST")
Planned = tuple[Cell, Run, Prospects]


def show_plans(matrix: Matrix[Project], *, as_json: bool) -> None:
    """Print what a cycle of every cell would do; changes nothing. Asks for all at the same time.

    Raises what `spotdeploy plan` of one deployment raises, for the first cell that cannot be.
    """
    first = next(iter(matrix.cells.values()))
    plans = read_plans(first)
    require_syntax(first, plans)
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(p, plans, Bus())) for p in matrix.cells.values()]
        prospects = asyncio.run(_ask(runs))
        planned = list(zip(matrix.cells, runs, prospects, strict=True))
        text = json_text(_data(matrix, planned)) if as_json else "\n".join(_lines(matrix, planned))
    sys.stdout.write(text + "\n")


def plan_data(run: Run, prospects: Prospects) -> dict[str, object]:
    """The plan of a deployment for programs."""
    groups = [_group_data(group, prospects) for group in run.groups]
    return {
        "deployment": run.deployment,
        "wanted": run.desired,
        **(groups[0] if len(groups) == 1 else {"groups": groups}),
        "protection": prospects.auto_shutdown,
        "expected_cost": expected_cost(run, prospects),
        "warnings": prospects.warnings,
    }


def before_of(run: Run, deployment: str = "") -> list[BeforeTest]:
    """What must pass on this computer before a cycle destroys anything; `deployment` is that of
    the whole config."""
    plans = {group.group: group.plan for group in run.groups}
    name = deployment or run.deployment
    return wanted_tests(Bench(run.project, plans, run.journal, run.bus, run.id, name))


def before_lines(some: Sequence[BeforeTest]) -> list[str]:
    """The same for people."""
    return ["before anything is destroyed:", *map(_before_line, some)] if some else []


def _before_line(test: BeforeTest) -> str:
    how = f" (at most {spell(test.timeout)})" if test.timeout else ""
    if test.passed_in:
        how = f" (not run: passed in run {test.passed_in}, nothing changed since)"
    return f"  {title(test.command)}{how}"


def _group_data(group: Run, prospects: Prospects) -> dict[str, object]:
    plan = group.plan
    return {
        "group": group.group,
        "after": group.project.after,
        "wanted": group.desired,
        "placement": group.config.nodes.placement,
        "digest": plan.manifest.digest,
        "bytes": plan.manifest.size,
        "files": [e.path for e in plan.manifest.entries if e.kind is not FileKind.FOLDER],
        "offers": prospects.offers[group.group],
        "checks": [check.name for check in plan.checks],
    }


async def _ask(runs: Sequence[Run]) -> list[Prospects]:
    return await asyncio.gather(*map(ask_offers, runs))


def _data(matrix: Matrix[Project], planned: Sequence[Planned]) -> dict[str, object]:
    return {
        "deployment": matrix.project.deployment,
        "max_parallel": matrix.limits.max_parallel,
        "cells": [
            {"name": cell.name, "values": cell.values, **plan_data(run, prospects)}
            for cell, run, prospects in planned
        ],
        "before": before_of(planned[0][1], matrix.project.deployment),
        "destroyed": [cell.name for cell in matrix.former],
    }


def _lines(matrix: Matrix[Project], planned: Sequence[Planned]) -> list[str]:
    groups = planned[0][1].groups
    payloads = {group.plan.manifest.digest: group.plan.manifest for group in groups}
    checks = dict.fromkeys(check.name for group in groups for check in group.plan.checks)
    at_once = matrix.limits.max_parallel or len(planned)
    costs = [expected_cost(run, prospects) for _, run, prospects in planned]
    known = sum(cost.usd for cost in costs if cost)
    warnings = dict.fromkeys(text for _, _, some in planned for text in some.warnings)
    return [
        f"{matrix.project.deployment}: {counted(len(planned), 'cell')}, {at_once} at the same time",
        *(
            f"payload: {counted(len(one.files), 'file')}, {one.size} bytes, digest {digest[:12]}"
            for digest, one in payloads.items()
        ),
        f"expected cost: {spell_usd(known) if all(costs) else 'unknown'}",
        *(f"warning: {plain(text)}" for text in warnings),
        *before_lines(before_of(planned[0][1], matrix.project.deployment)),
        *(f"not in the matrix any more, and destroyed: {cell.name}" for cell in matrix.former),
        "",
        table([HEADER, *(_row(*one) for one in planned)]),
        "",
        f"checks: {', '.join(checks)}",
    ]


def _row(cell: Cell, run: Run, prospects: Prospects) -> tuple[str, ...]:
    every = [some[0] for of_all in prospects.offers.values() for some in of_all.values()]
    offers = list({str(offer): offer for offer in every}.values())
    prices = ("unknown" if o.usd_per_hour is None else f"{o.usd_per_hour:.4f}" for o in offers)
    return (
        cell.name,
        str(cell) if cell.values else "-",
        str(run.desired),
        ", ".join(map(str, offers)),
        ", ".join(prices),
        str(expected_cost(run, prospects) or "unknown"),
    )
