"""`spotdeploy ssh`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, NodeName, Only, Providers


def command(
    node: NodeName,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", help="A command to run instead.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
) -> None:
    """Open a shell on a node; it can no longer pass verify."""
    import os

    from spotdeploy.cli.cells import project_of
    from spotdeploy.node.access import open_shell
    from spotdeploy.project import Project

    project = project_of(
        Project.open(config, deployment=deployment, providers=provider), only, node
    )
    line = open_shell(project, node, words or [])
    os.chdir(project.keys_folder)
    os.execvp(line[0], line)  # noqa: S606  # the terminal now belongs to OpenSSH
