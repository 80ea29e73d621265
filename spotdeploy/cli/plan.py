"""`spotdeploy plan`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show what a cycle would do; changes nothing."""
    import asyncio

    from spotdeploy.cli.opening import new_registry, opened, read_settings
    from spotdeploy.cli.plan_screen import show_plan
    from spotdeploy.events import Bus
    from spotdeploy.phases.plan import foresee, read_plan

    settings, providers = read_settings(config, provider)
    registry = new_registry(settings)
    read = read_plan(registry, settings)
    with opened(settings, registry, providers, Bus()) as session:
        prospects = asyncio.run(foresee(session))
        show_plan(session, read, prospects, as_json=json)
