"""The JSON Schema of spotdeploy.toml, for editors and for the reference in the docs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from spotdeploy.config import Config
from spotdeploy.duration import Duration
from spotdeploy.registry import PluginError, Registry
from spotdeploy.secret import Secret

DURATION = {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|d|h|m|s))+$", "examples": ["20s", "2m"]}
SECRET = {"type": "string", "pattern": r"^(env|file):.+$", "examples": ["env:TOKEN"]}


def schema_text(registry: Registry, plugins: Sequence[str] = ()) -> str:
    """The schema as indented JSON: the core's keys, the tables of every installed provider that
    can be loaded, and those of every check."""
    schema = build_schema(registry, plugins)
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


def build_schema(registry: Registry, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The schema as data."""
    providers = _providers(registry)
    checks = {kind: cls.Settings for kind, cls in sorted(registry.checks(plugins).items())}
    types: list[Any] = [Config, *providers.values(), *checks.values()]
    references, definitions = msgspec.json.schema_components(
        types, schema_hook=_custom, ref_template="#/$defs/{name}"
    )
    top = definitions.pop("Config")
    tables = references[1:]
    top["properties"]["provider"] = {
        "type": "object",
        "properties": dict(zip(providers, tables, strict=False)),
    }
    top["properties"]["checks"] = {
        "type": "array",
        "items": {"oneOf": list(tables[len(providers) :])},
    }
    for kind, reference in zip(checks, tables[len(providers) :], strict=True):
        definition = definitions[reference["$ref"].rpartition("/")[2]]
        definition["properties"]["type"] = {"const": kind}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spotdeploy.toml",
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": definitions,
    }


def _providers(registry: Registry) -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for point in registry.known():
        try:
            found[point.name] = registry.provider(point.name).Config
        except PluginError:
            continue  # no provider, or one that cannot be loaded: 'spotdeploy plugins' says why
    return found


def _custom(kind: type) -> dict[str, Any]:
    if kind is Duration:
        return dict(DURATION)
    if kind is Secret:
        return dict(SECRET)
    raise NotImplementedError(kind)
