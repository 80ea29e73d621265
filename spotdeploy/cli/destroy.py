"""`spotdeploy destroy`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Only, Providers, Wait


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Destroy all nodes and prove that nothing is left."""
    from spotdeploy.cli.run import RunOptions, run_command

    run_command(
        RunOptions("destroy", config, provider, json, wait=wait, only=only, deployment=deployment)
    )
