"""`spotdeploy verify`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Ask the checks of the nodes there are."""
    from spotdeploy.cli.run import RunOptions, run_command
    from spotdeploy.cycle.runbook import run_verify

    run_command(
        RunOptions("verify", config, provider, json),
        lambda session, plan, _: run_verify(session, plan),
    )
