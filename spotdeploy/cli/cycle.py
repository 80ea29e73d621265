"""`spotdeploy cycle`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Keep, Providers


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    keep: Keep = None,
    json: Json = False,
) -> None:
    """Destroy, create and verify, and end with a verdict."""
    from spotdeploy.cli.conduct import Wish, conduct
    from spotdeploy.cycle import run_cycle

    conduct(Wish("cycle", config, provider, json, keep), run_cycle)
