"""`spotdeploy schema`."""

from __future__ import annotations

from spotdeploy.cli.options import DEFAULT_CONFIG, Config


def command(config: Config = DEFAULT_CONFIG) -> None:
    """Print the JSON Schema of spotdeploy.toml."""
    import typer

    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.registry import Registry
    from spotdeploy.schema import schema_text

    registry = Registry()
    plugins: tuple[str, ...] = ()
    if config.exists():
        settings, _ = read_settings(config, None)
        registry, plugins = new_registry(settings), settings.config.plugins
    typer.echo(schema_text(registry, plugins))
