"""`spotdeploy doctor`."""

from __future__ import annotations

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Look for what would stop a run: credentials, tools."""
    from spotdeploy.cli.examine import examine
    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.cli.problems import show_problems

    settings, providers = read_settings(config, provider)
    findings = examine(new_registry(settings), settings, providers)
    raise typer.Exit(show_problems(findings, as_json=json))
