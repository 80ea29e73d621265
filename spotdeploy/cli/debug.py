"""`spotdeploy debug`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from spotdeploy.check import CommandResult
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, NodeName, Providers
from spotdeploy.cli.tables import json_text
from spotdeploy.node.access import inspect_node
from spotdeploy.node.diagnostics import Diagnostic
from spotdeploy.phases.plan import read_checks
from spotdeploy.project import Project
from spotdeploy.redact import Redactor
from spotdeploy.text import plain

LIMIT: Final = 20_000
"""Characters of one command's output that are shown."""


def command(
    node: NodeName, config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show the condition of a node; changes nothing on it."""
    project = Project.open(config, providers=provider)
    redactor = project.redactor(read_checks(project))
    show_diagnostics(inspect_node(project, node), redactor, as_json=json)


def show_diagnostics(
    diagnostics: Sequence[tuple[Diagnostic, CommandResult]], redactor: Redactor, *, as_json: bool
) -> None:
    """Print what each command said, harmless, bounded and without secrets."""
    diagnostics = redactor.anything(diagnostics)
    if as_json:
        data = [
            {
                "title": diagnostic.title,
                "command": diagnostic.command,
                "exit_code": result.exit_code,
                "stdout": plain(result.stdout, limit=LIMIT),
                "stderr": plain(result.stderr, limit=LIMIT),
            }
            for diagnostic, result in diagnostics
        ]
        sys.stdout.write(json_text(data) + "\n")
        return
    for diagnostic, result in diagnostics:
        sys.stdout.write(f"== {diagnostic.title}\n{_text(result)}\n\n")


def _text(result: CommandResult) -> str:
    text = plain("\n".join(filter(None, (result.stdout, result.stderr))), limit=LIMIT)
    return text or "(nothing)"
