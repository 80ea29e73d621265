"""The screen of `spotdeploy plugins`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint

from spotdeploy.cli.tables import table
from spotdeploy.errors import SpotdeployError
from spotdeploy.plugins import PluginError, Registry

HEADER = ("PLUGIN", "FROM", "GIVES")


def show_plugins(registry: Registry, *, as_json: bool) -> None:
    """Print every installed plugin and what it gives; a broken one is shown with its error."""
    rows = [
        (point.name, _distribution(point), _gives(registry, point)) for point in registry.known()
    ]
    if as_json:
        data = [dict(zip(("plugin", "from", "gives"), row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    else:
        sys.stdout.write(table([HEADER, *rows]) + "\n")


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def _gives(registry: Registry, point: EntryPoint) -> str:
    try:
        registry.load(point.name)
        gives = []
        if classes := registry.checks_of(point.name):
            gives.append(f"checks {', '.join(sorted(cls.kind for cls in classes))}")
        try:
            registry.provider(point.name)
            gives.insert(0, f"provider {point.name}")
        except PluginError:
            gives = gives or ["nothing"]
    except SpotdeployError as error:
        return f"broken: {error.message}"
    return "; ".join(gives)
