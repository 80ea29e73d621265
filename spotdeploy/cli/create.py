"""`spotdeploy create`."""

from __future__ import annotations

from spotdeploy.cli.options import (
    DEFAULT_CONFIG,
    Config,
    Deployment,
    Json,
    Keep,
    Only,
    Providers,
    Wait,
)


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    keep: Keep = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Create and deploy fresh nodes, when there are none."""
    from spotdeploy.cli.run import RunOptions, run_command

    run_command(
        RunOptions(
            "create", config, provider, json, keep, wait=wait, only=only, deployment=deployment
        )
    )
