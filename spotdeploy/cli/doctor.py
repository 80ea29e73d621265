"""`spotdeploy doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers
from spotdeploy.cli.tables import json_text
from spotdeploy.errors import SpotdeployError
from spotdeploy.model import Problem
from spotdeploy.patience import ask, ask_all
from spotdeploy.phases.plan import read_plan
from spotdeploy.project import Project
from spotdeploy.provider import Provider, SupportsAccount

OK, PROBLEM = 0, 3
"""Exit codes."""


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Look for what would stop a run: credentials, tools."""
    findings = examine(Project.open(config, providers=provider))
    raise typer.Exit(show_findings(findings, as_json=json))


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one place."""

    where: str
    problems: tuple[Problem, ...]
    account: str = ""
    """Whose account it acts in, where the provider knows."""


def examine(project: Project) -> list[Findings]:
    """Examine the payload and every location, locations in parallel and with patience.
    Changes nothing."""
    opened = project.open_providers()
    return [_config(project), *ask_all([partial(_location, *one) for one in opened])]


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


def _config(project: Project) -> Findings:
    try:
        read_plan(project)
    except SpotdeployError as error:
        return Findings(project.path.name, (_problem(error),))
    return Findings(project.path.name, ())


def _location(provider: Provider[Any], place: str) -> Findings:
    where = f"{provider.name} {place}"
    try:
        problems = tuple(ask(provider.doctor))
        account = ask(provider.account) if isinstance(provider, SupportsAccount) else ""
    except SpotdeployError as error:
        return Findings(where, (_problem(error),))
    return Findings(where, problems, account)


def _problem(error: SpotdeployError) -> Problem:
    return Problem(error.message, error.hint or "see the message")
