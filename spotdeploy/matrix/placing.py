"""A cell as a project of its own: what its values change in the config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from spotdeploy.config.schema import Config
from spotdeploy.errors import ConfigError
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.config import variable
from spotdeploy.model import MarketPolicy
from spotdeploy.project import Project
from spotdeploy.provider import ProviderConfig

P = TypeVar("P", bound=Project)
OF_PROVIDERS: Final = ("image", "size", "arch")
"""Axes that are keys of `[provider.NAME]`, in the singular or in the plural."""
_ELSEWHERE: Final = {
    "arch": "leave it out and vary size: a size has its architecture",
    "image": "leave it out, or give another provider",
    "size": "leave it out, or give another provider",
}


def place(project: P, cell: Cell) -> P:
    """The project of a cell: its name, its values in the config, and its variables.

    Raises ConfigError, with the path, where a value cannot be given to one of its providers.
    """
    texts = cell.texts
    config = project.config
    providers = (texts["provider"],) if "provider" in texts else project.providers
    market = MarketPolicy(texts["market"]) if "market" in texts else config.nodes.market
    changed = msgspec.structs.replace(
        config,
        deployment=cell.name,
        providers=providers,
        matrix=None,
        nodes=msgspec.structs.replace(config.nodes, market=market),
    )
    placed = replace(
        with_config(project, changed),
        providers=providers,
        facts={variable(axis): text for axis, text in texts.items()},
    )
    return _with_tables(placed, {axis: texts[axis] for axis in OF_PROVIDERS if axis in texts})


def with_config(project: P, config: Config) -> P:
    """The same project with another config."""
    settings = msgspec.structs.replace(project.settings, config=config)
    return replace(project, settings=settings)


def _with_tables(project: P, values: Mapping[str, str]) -> P:
    if not values:
        return project
    tables = dict(project.config.provider)
    for name in project.providers:
        cls, config = project.provider_config(name)
        keys = {axis: _key(project, cls.Config, name, axis) for axis in values}
        for axis, (key, _) in keys.items():
            _require_no_other(project, name, config, axis, key)
        more = {key: [values[axis]] if many else values[axis] for axis, (key, many) in keys.items()}
        tables[name] = {**tables.get(name, {}), **more}
    placed = with_config(project, msgspec.structs.replace(project.config, provider=tables))
    for name in project.providers:
        _require_good(placed, name, values)
    return placed


def _key(
    project: Project, config: type[ProviderConfig], provider: str, axis: str
) -> tuple[str, bool]:
    """The key of a provider's table that an axis is, and whether it takes several."""
    keys = {field.encode_name for field in msgspec.structs.fields(config)}
    if axis in keys:
        return axis, False
    if f"{axis}s" in keys:
        return f"{axis}s", True
    raise ConfigError(
        f"{project.path.name}: matrix.{axis}: provider.{provider} has no {axis}",
        hint=_ELSEWHERE[axis],
    )


def _require_no_other(
    project: Project, provider: str, config: ProviderConfig, axis: str, key: str
) -> None:
    """Refuse a key of that name deeper in the table, which would stand above the axis."""
    for path, value in _deeper(config, key, f"provider.{provider}"):
        if value:
            raise ConfigError(
                f"{project.path.name}: matrix.{axis}: {path} would stand above it",
                hint="leave out one of them",
            )


def _deeper(config: msgspec.Struct, key: str, path: str) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(config):
        table = getattr(config, field.name)
        for name, inner in table.items() if isinstance(table, Mapping) else ():
            if isinstance(inner, msgspec.Struct):
                where = f"{path}.{field.encode_name}.{name}.{key}"
                yield where, getattr(inner, key, None)


def _require_good(project: Project, provider: str, values: Mapping[str, str]) -> None:
    try:
        project.provider_config(provider)
    except ConfigError as error:
        given = ", ".join(f"matrix.{axis} = {text!r}" for axis, text in values.items())
        raise ConfigError(f"{error.message}, by {given}", hint=error.hint) from error
