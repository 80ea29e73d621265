"""`spotdeploy doctor`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

import typer

from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Only, Providers
from spotdeploy.cli.tables import json_text
from spotdeploy.matrix.project import Matrix
from spotdeploy.phases.findings import Findings, examine_locations
from spotdeploy.phases.plan import examine_config
from spotdeploy.project import Project
from spotdeploy.run.location import Location

OK, PROBLEM = 0, 3
"""Exit codes."""


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """Look for what would stop a run: credentials, tools."""
    project = Project.open(config, deployment=deployment, providers=provider)
    matrix = matrix_of(project, only)
    findings = examine_cells(matrix) if matrix else examine(project)
    raise typer.Exit(show_findings(findings, as_json=json))


def examine(project: Project) -> list[Findings]:
    """Examine the payload and every location, all locations at once. Changes nothing."""
    locations = [Location(provider, place) for provider, place in project.open_providers()]
    try:
        return [
            examine_config(project),
            *asyncio.run(
                examine_locations(project, locations, project.groups.values(), account=True)
            ),
        ]
    finally:
        for location in locations:
            location.close()


def examine_cells(matrix: Matrix[Project]) -> list[Findings]:
    """The same for every cell: those that ask the same of the same providers once."""
    found: dict[Findings, None] = {}
    asked = []
    for cell, project in matrix.cells.items():
        config = project.config
        question = (project.providers, config.provider, config.nodes)
        if question not in asked:
            asked.append(question)
            for one in examine(project):
                where = one.where if one.where == project.path.name else f"{one.where} ({cell})"
                found[replace(one, where=where)] = None
    return list(found)


def show_findings(findings: Sequence[Findings], *, as_json: bool) -> int:
    """Print what was found; return 0 when nothing would stop a run, else 3."""
    if as_json:
        sys.stdout.write(json_text(findings) + "\n")
    else:
        sys.stdout.write("\n".join(line for one in findings for line in _lines(one)) + "\n")
    return PROBLEM if any(p.fatal for one in findings for p in one.problems) else OK


def _lines(findings: Findings) -> list[str]:
    account = f" (account {findings.account})" if findings.account else ""
    if not findings.problems:
        return [f"{findings.where}{account}: ok"]
    lines = [f"{findings.where}{account}:"]
    for problem in findings.problems:
        kind = "problem" if problem.fatal else "warning"
        lines += [f"  {kind}: {problem.what}", f"  try: {problem.remedy}"]
    return lines
