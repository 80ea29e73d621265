"""`spotdeploy verify`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Only, Providers


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """Run the checks on the existing nodes."""
    from spotdeploy.cli.run import RunOptions, run_command

    run_command(RunOptions("verify", config, provider, json, only=only, deployment=deployment))
