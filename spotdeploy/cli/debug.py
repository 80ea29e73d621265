"""`spotdeploy debug`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, NodeName, Providers


def command(
    node: NodeName, config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show the condition of a node; changes nothing on it."""
    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.handson import inspect_node
    from spotdeploy.report.looks import show_looks

    settings, providers = read_settings(config, provider)
    show_looks(inspect_node(new_registry(settings), settings, providers, node), as_json=json)
