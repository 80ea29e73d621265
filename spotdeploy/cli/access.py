"""`spotdeploy access export` and `spotdeploy access import`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from spotdeploy.cli.cells import one_cell
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Only, Providers
from spotdeploy.project import Project
from spotdeploy.run.handover import Handover, export_access, import_access
from spotdeploy.text import counted

File = Annotated[Path, typer.Argument(help="The file that goes from one computer to the other.")]


def group() -> typer.Typer:
    """The commands below it."""
    app = typer.Typer(no_args_is_help=True)
    app.callback()(_about)
    app.command("export")(_export)
    app.command("import")(_import)
    return app


def _about() -> None:
    """Let a colleague's computer at the nodes: export, import."""


def _export(
    file: File,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
) -> None:
    """Write the nodes' ssh key and host keys to a file, for a colleague.

    Whoever has the file gets in: it holds a private key. It is made for you alone to read, takes
    no other file's place, and is good for nothing once the nodes are gone.
    """
    project = one_cell(Project.open(config, deployment=deployment, providers=provider), only)
    handover = export_access(project, file)
    sys.stdout.write(
        f"{file}: access to {_what(handover)}\n"
        f"hand it on as a secret; there: spotdeploy access import {file.name}\n"
    )


def _import(
    file: File,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    only: Only = None,
) -> None:
    """Take over what a colleague's file gives; then ssh, debug, verify, list and destroy work.

    The clouds are asked with your own credentials. A file that others can read is refused, and so
    is one of a deployment that is known on this computer.
    """
    project = one_cell(Project.open(config, deployment=deployment), only)
    handover = import_access(project, file)
    sys.stdout.write(f"access to {_what(handover)}; the file is not needed any more: rm {file}\n")


def _what(handover: Handover) -> str:
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(handover.expires_at))
    return f"{counted(len(handover.nodes), 'node')} of {handover.deployment}, until {until}"
