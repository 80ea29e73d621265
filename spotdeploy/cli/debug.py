"""`spotdeploy debug`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy.check import CommandResult
from spotdeploy.cli.cells import project_of
from spotdeploy.cli.options import (
    DEFAULT_CONFIG,
    Config,
    Deployment,
    Json,
    NodeName,
    Only,
    Providers,
)
from spotdeploy.cli.tables import json_text
from spotdeploy.errors import ConfigError
from spotdeploy.node.access import inspect_node
from spotdeploy.node.diagnostics import Diagnostic
from spotdeploy.payload.variables import read_secrets
from spotdeploy.phases.plan import read_checks
from spotdeploy.project import Project
from spotdeploy.report.github import quoting
from spotdeploy.text import plain

LIMIT: Final = 20_000
"""Characters of one command's output that are shown."""


def command(
    node: NodeName,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """Show the condition of a node; changes nothing on it."""
    project = project_of(
        Project.open(config, deployment=deployment, providers=provider), only, node
    )
    groups = project.groups.values()
    checks = [check for group in groups for check in read_checks(group)]
    project.hide_secrets(checks, [value for group in groups for value in known_secrets(group)])
    show_diagnostics(inspect_node(project, node), as_json=json)


def known_secrets(project: Project) -> list[str]:
    """The values of the secrets of a group's payload. Warns of one that cannot be read: it cannot
    be hidden, and what a node shows is most needed when much is out of order."""
    values: list[str] = []
    for name, secret in project.config.payload.secrets.items():
        try:
            found = read_secrets(project.path.name, project.settings.folder, {name: secret})
        except ConfigError as error:
            sys.stderr.write(f"warning: {plain(error.message)}: its value is not hidden below\n")
        else:
            values += found.values()
    return values


def show_diagnostics(
    diagnostics: Sequence[tuple[Diagnostic, CommandResult]],
    *,
    as_json: bool,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Print what each command said, harmless, bounded and without secrets."""
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
    with quoting(sys.stdout, environment):
        for diagnostic, result in diagnostics:
            sys.stdout.write(f"== {diagnostic.title}\n{_text(result)}\n\n")


def _text(result: CommandResult) -> str:
    streams = (plain(stream, limit=LIMIT) for stream in (result.stdout, result.stderr))
    return plain("\n".join(filter(None, streams)), limit=LIMIT) or "(nothing)"
