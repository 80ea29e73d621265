"""A cell as a project of its own: what its values change in the config, of each group too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from spotdeploy.config.schema import Config, Group
from spotdeploy.errors import ConfigError
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.config import variable
from spotdeploy.model import MarketPolicy
from spotdeploy.project import Project
from spotdeploy.provider import ProviderConfig

P = TypeVar("P", bound=Project)
Change = Callable[[Config, Group], Config]
"""What becomes of a config; it is that of a group, or of a group that is the whole."""
OF_PROVIDERS: Final = ("image", "size", "arch")
"""Axes that are keys of `[provider.NAME]`, in the singular or in the plural."""
_ELSEWHERE: Final = {
    "arch": "leave it out and vary size: a size has its architecture",
    "image": "leave it out, or give another provider",
    "size": "leave it out, or give another provider",
}
_OF_GROUPS: Final = {"image": "image", "size": "sizes", "market": "market"}
"""Axes, and the key of a group's table that stands above each."""


def place(project: P, cell: Cell) -> P:
    """The project of a cell: its name, its values in the config, and its variables. What a group
    says itself stands above a value.

    Raises ConfigError, with the path, where a value cannot be given to one of its providers, and
    where every group says something else.
    """
    texts = cell.texts
    providers = (texts["provider"],) if "provider" in texts else project.providers
    keys = {
        (name, axis): _key(project, name, axis)
        for name in providers
        for axis in OF_PROVIDERS
        if axis in texts
    }

    def change(config: Config, group: Group) -> Config:
        market = MarketPolicy(texts.get("market", config.nodes.market))
        nodes = msgspec.structs.replace(config.nodes, market=market)
        tables = {name: dict(table) for name, table in config.provider.items()}
        for (name, axis), (key, many) in keys.items():
            if f"provider.{name}.{key}" not in group.keys:
                tables.setdefault(name, {})[key] = [texts[axis]] if many else texts[axis]
        return msgspec.structs.replace(
            config,
            deployment=cell.name,
            providers=providers,
            matrix=None,
            nodes=config.nodes if "market" in group.keys else nodes,
            provider=tables,
        )

    _require_taken(project, {axis for axis in _OF_GROUPS if axis in texts})
    placed = replace(
        changed(project, change),
        providers=providers,
        facts={variable(axis): text for axis, text in texts.items()},
    )
    for (name, axis), (key, _) in keys.items():
        _require_good(placed, name, axis, key, texts[axis])
    return placed


def changed(project: P, change: Change) -> P:
    """The same project with another config, and another one for each group."""
    settings = project.settings
    groups = {
        name: msgspec.structs.replace(group, config=change(group.config, group))
        for name, group in settings.groups.items()
    }
    config = change(settings.config, Group(config=settings.config))
    return replace(
        project, settings=msgspec.structs.replace(settings, config=config, groups=groups)
    )


def renamed(project: P, deployment: str) -> P:
    """The same project as a deployment of that name, without a matrix."""

    def change(config: Config, _: Group) -> Config:
        return msgspec.structs.replace(config, deployment=deployment, matrix=None)

    return changed(project, change)


def _key(project: Project, provider: str, axis: str) -> tuple[str, bool]:
    """The key of a provider's table that an axis is, and whether it takes several."""
    config = project.plugins.provider(provider).Config
    keys = {field.encode_name for field in msgspec.structs.fields(config)}
    if axis in keys:
        return axis, False
    if f"{axis}s" in keys:
        return f"{axis}s", True
    raise ConfigError(
        f"{project.path.name}: matrix.{axis}: provider.{provider} has no {axis}",
        hint=_ELSEWHERE[axis],
    )


def _require_taken(project: Project, axes: Collection[str]) -> None:
    """Refuse an axis of which no group would take the values."""
    groups = project.settings.groups
    for axis in axes if groups else ():
        key = _OF_GROUPS[axis]
        if all(key in group.keys for group in groups.values()):
            first = next(iter(groups.values()))
            raise ConfigError(
                f"{project.path.name}: matrix.{axis}: every group has its own, as {first.where}."
                f"{key}",
                hint="leave it out in the groups that the axis is for",
            )


def _require_good(project: Project, provider: str, axis: str, key: str, text: str) -> None:
    """Refuse a value that the provider does not take, and one that another key hides."""
    where = f"{project.path.name}: matrix.{axis}"
    for group in project.groups.values():
        try:
            _, config = group.provider_config(provider)
        except ConfigError as error:
            raise ConfigError(
                f"{error.message}, by matrix.{axis} = {text!r}", hint=error.hint
            ) from error
        for path, value in _deeper(config, key, f"provider.{provider}"):
            if value:
                raise ConfigError(
                    f"{where}: {path} would stand above it", hint="leave out one of them"
                )


def _deeper(config: ProviderConfig, key: str, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a key in tables below a provider's, such as those of a location."""
    for field in msgspec.structs.fields(config):
        table = getattr(config, field.name)
        for name, inner in table.items() if isinstance(table, Mapping) else ():
            if isinstance(inner, msgspec.Struct):
                where = f"{path}.{field.encode_name}.{name}.{key}"
                yield where, getattr(inner, key, None)
