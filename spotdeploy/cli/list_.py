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
    from spotdeploy.cli.cells import nodes_of, show_outputs
    from spotdeploy.cli.tables import show_nodes
    from spotdeploy.project import Project

    project = Project.open(config, deployment=deployment, providers=provider)
    nodes = nodes_of(project, only)
    if any(node.usd_per_hour is None for node in nodes):
        from spotdeploy.report.run_store import priced  # takes a while to import

        nodes = priced(project.state, nodes)
    show_nodes(nodes, project.groups, as_json=json)
    if project.config.outputs and not json:
        show_outputs(project, nodes)
