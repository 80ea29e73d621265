"""`spotdeploy list`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """List the deployment's nodes, asked of the providers."""
    from spotdeploy.listing import list_from
    from spotdeploy.report.nodes import show_nodes

    show_nodes(list_from(config, provider), as_json=json)
