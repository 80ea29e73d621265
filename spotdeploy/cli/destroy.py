"""`spotdeploy destroy`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Destroy all nodes and prove that nothing is left."""
    from spotdeploy.cli.run import RunOptions, run_command

    run_command(RunOptions("destroy", config, provider, json))
