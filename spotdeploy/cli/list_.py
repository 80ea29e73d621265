"""`spotdeploy list`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Only, Providers


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """List the deployment's nodes, asked of the providers."""
    from spotdeploy.cli.cells import nodes_of
    from spotdeploy.cli.tables import show_nodes
    from spotdeploy.project import Project

    project = Project.open(config, deployment=deployment, providers=provider)
    show_nodes(nodes_of(project, only), project.groups, as_json=json)
