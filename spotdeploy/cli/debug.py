"""`spotdeploy debug`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

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
from spotdeploy.node.diagnostics import DIAGNOSTICS, OF_PAYLOAD, Diagnostic
from spotdeploy.payload.variables import read_secrets
from spotdeploy.phases.plan import read_checks
from spotdeploy.project import Project
from spotdeploy.report.github import quoting
from spotdeploy.text import counted, plain

LINES: Final = 100
"""Last lines of a stream that are shown, of..."""
LIMIT: Final = 20_000
"""...so many characters at most."""
WHOLE: Final = 2 << 20
"""Characters of a stream that are shown with `--all`: more than a node gives."""


def command(
    node: NodeName,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything of the system too, and all lines of it.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the condition of a node; changes nothing on it.

    What its payload wrote and how its units are; the last lines of each.
    """
    project = project_of(
        Project.open(config, deployment=deployment, providers=provider), only, node
    )
    hide_secrets(project)
    found = inspect_node(project, node, DIAGNOSTICS if everything else OF_PAYLOAD)
    show_diagnostics(found, as_json=json, everything=everything)


def hide_secrets(project: Project) -> None:
    """From now on take the secrets of a project, its checks and its payloads out of everything that
    is shown."""
    groups = project.groups.values()
    checks = [check for group in groups for check in read_checks(group)]
    project.hide_secrets(checks, [value for group in groups for value in _known_secrets(group)])


def _known_secrets(project: Project) -> list[str]:
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
    everything: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Print what each command said, harmless, bounded and without secrets: its last lines, or with
    `everything` all."""
    shown = [
        (one, result, _tail(result.stdout, everything), _tail(result.stderr, everything))
        for one, result in diagnostics
    ]
    if as_json:
        data = [
            {
                "title": diagnostic.title,
                "command": diagnostic.command,
                "exit_code": result.exit_code,
                "stdout": out.text,
                "stderr": err.text,
                "left_out": out.left_out + err.left_out,
            }
            for diagnostic, result, out, err in shown
        ]
        sys.stdout.write(json_text(data) + "\n")
        return
    with quoting(sys.stdout, environment):
        for diagnostic, _, out, err in shown:
            text = "\n".join(filter(None, map(_text, (out, err)))) or "(nothing)"
            sys.stdout.write(f"== {diagnostic.title}\n{text}\n\n")


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a stream."""

    text: str
    left_out: int
    """How many lines before it are not shown."""


def _tail(stream: str, everything: bool) -> _Tail:
    whole = plain(stream, limit=WHOLE)
    if everything:
        return _Tail(whole, 0)
    lines = whole.split("\n")
    last = "\n".join(lines[-LINES:])
    kept = last if len(last) <= LIMIT else f"...{last[3 - LIMIT :]}"
    return _Tail(kept, len(lines) - 1 - kept.count("\n"))


def _text(tail: _Tail) -> str:
    before = f"... {counted(tail.left_out, 'line')} before these; --all shows them\n"
    return f"{before if tail.left_out else ''}{tail.text}"
