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
    report: Annotated[
        bool, typer.Option("--report", help="That of report.json and a run's --json instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of spotdeploy.toml."""
    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.config.json_schema import schema_text
    from spotdeploy.plugins import Registry
    from spotdeploy.report.event_docs import events_schema_text
    from spotdeploy.report.model import report_schema_text

    if events or report:
        typer.echo(events_schema_text() if events else report_schema_text())
        return
    registry = Registry()
    plugins: tuple[str, ...] = ()
    if config.exists():
        settings, _ = read_settings(config, None)
        registry, plugins = new_registry(settings), settings.config.plugins
    typer.echo(schema_text(registry, plugins))
