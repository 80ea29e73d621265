"""`spotdeploy list`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """List the deployment's nodes, asked of the providers."""
    from spotdeploy.cli.tables import show_nodes
    from spotdeploy.project import Project

    project = Project.open(config, providers=provider)
    show_nodes(project.nodes(), project.groups, as_json=json)
