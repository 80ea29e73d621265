"""`spotdeploy destroy`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Destroy all nodes and prove that nothing is left."""
    from spotdeploy.cli.run import RunOptions, run_command
    from spotdeploy.cycle.runbook import run_destroy

    options = RunOptions("destroy", config, provider, json, needs_plan=False)
    run_command(options, lambda session, *_: run_destroy(session))
