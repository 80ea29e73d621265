"""`spotdeploy schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config


def command(
    config: Config = DEFAULT_CONFIG,
    events: Annotated[
        bool, typer.Option("--events", help="That of a line of events.jsonl instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of spotdeploy.toml."""
    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.registry import Registry
    from spotdeploy.report.event_docs import events_schema_text
    from spotdeploy.schema import schema_text

    registry = Registry()
    plugins: tuple[str, ...] = ()
    if config.exists() and not events:
        settings, _ = read_settings(config, None)
        registry, plugins = new_registry(settings), settings.config.plugins
    typer.echo(events_schema_text() if events else schema_text(registry, plugins))
