"""`spotdeploy plugins`."""

from __future__ import annotations

from spotdeploy.cli.options import Json


def command(json: Json = False) -> None:
    """List the installed plugins: providers and checks."""
    from spotdeploy.registry import Registry
    from spotdeploy.report.plugins import show_plugins

    show_plugins(Registry(), as_json=json)
