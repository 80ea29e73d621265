"""`spotdeploy list`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """List the deployment's nodes, asked of the providers."""
    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.listing import list_now
    from spotdeploy.report.nodes import show_nodes

    settings, providers = read_settings(config, provider)
    show_nodes(list_now(new_registry(settings), settings, providers), as_json=json)
