"""`spotdeploy reap`."""

from __future__ import annotations

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    yes: bool = typer.Option(False, "--yes", help="End what was found, instead of showing it."),
    json: Json = False,
) -> None:
    """Find what is overdue, whoever made it; with --yes, end it.

    Looks in every location of the account for nodes past their time to live, and for what is left
    of runs that have no node any more. Touches nothing without spotdeploy's labels. Needs no
    config file when --provider says where to look.
    """
    import asyncio

    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.cli.overdue import show_overdue
    from spotdeploy.config.schema import Config as Whole
    from spotdeploy.config.schema import Settings
    from spotdeploy.phases.reap import Search, reap, search
    from spotdeploy.project import open_everywhere
    from spotdeploy.run.location import Location
    from spotdeploy.run.verdict import Receipt

    if provider and config == DEFAULT_CONFIG and not config.exists():
        names = tuple(dict.fromkeys(provider))
        settings = Settings(config=Whole(deployment="reap"), path=config.absolute())
    else:
        settings, names = read_settings(config, provider)
    opened = open_everywhere(new_registry(settings), settings, names)
    locations = [Location(*one) for one in opened]

    async def work() -> tuple[list[Search], Receipt | None]:
        found = await asyncio.gather(*map(search, locations))
        overdue = any(one.overdue for one in found)
        wanted = yes and overdue
        return found, await reap(found, settings.config.timeouts.destroy) if wanted else None

    try:
        found, receipt = asyncio.run(work())
    finally:
        for location in locations:
            location.close()
    raise typer.Exit(show_overdue(found, receipt, as_json=json))
