"""`spotdeploy debug`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, NodeName, Providers


def command(
    node: NodeName, config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show the condition of a node; changes nothing on it."""
    from spotdeploy.cli.looks import show_looks
    from spotdeploy.cli.opening import new_registry, read_redactor, read_settings
    from spotdeploy.node.access import inspect_node
    from spotdeploy.phases.plan import read_checks

    settings, providers = read_settings(config, provider)
    registry = new_registry(settings)
    redactor = read_redactor(registry, settings, providers, read_checks(registry, settings))
    show_looks(inspect_node(registry, settings, providers, node), redactor, as_json=json)
