"""From provider names in a config to provider objects, one for each location."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spotdeploy import labels
from spotdeploy.config.load import decode, read_settings
from spotdeploy.config.schema import Settings
from spotdeploy.errors import RefusedError
from spotdeploy.model import Node, NodeState
from spotdeploy.plugins import Registry
from spotdeploy.provider import Provider, ProviderConfig, SupportsAllLocations


def open_providers(
    registry: Registry, settings: Settings, names: Iterable[str]
) -> list[tuple[Provider[Any], str]]:
    """An object for each location of each provider, with the location's name.

    Raises PluginError for an unknown provider, ConfigError for a bad `[provider.NAME]` table.
    """
    opened = []
    for name in names:
        cls, config = provider_config(registry, settings, name)
        opened += [(cls(config, place), place) for place in cls.locations(config)]
    return opened


def open_everywhere(
    registry: Registry, settings: Settings, names: Iterable[str]
) -> list[tuple[Provider[Any], str]]:
    """As `open_providers`, and an object for every other location that a provider can name.

    Asks the clouds. Raises what `open_providers` raises, and ProviderError.
    """
    opened = []
    for name in names:
        cls, config = provider_config(registry, settings, name)
        places = list(cls.locations(config))
        first = cls(config, places[0])
        if isinstance(first, SupportsAllLocations):
            places += [place for place in first.all_locations() if place not in places]
        opened += [(cls(config, place), place) for place in places]
    return opened


def provider_config(
    registry: Registry, settings: Settings, name: str
) -> tuple[type[Provider[Any]], ProviderConfig]:
    """A provider's class and its decoded `[provider.NAME]` table."""
    cls = registry.provider(name)
    table = settings.config.provider.get(name, {})
    return cls, decode(table, cls.Config, settings.path.name, f"provider.{name}")


def list_from(path: Path, providers: list[str] | None) -> list[Node]:
    """As `list_now`, for a config file. Raises ConfigError when it cannot be used."""
    settings, names = read_settings(path, providers)
    return list_now(Registry(settings.folder), settings, names)


def list_now(registry: Registry, settings: Settings, providers: Sequence[str]) -> list[Node]:
    """The deployment's nodes that are not gone, of all locations, in the providers' order."""
    scope = labels.scope(settings.config.deployment)
    opened = [provider for provider, _ in open_providers(registry, settings, providers)]
    if len(opened) == 1:
        lists = [opened[0].nodes(scope)]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(32, len(opened))) as threads:
            lists = list(threads.map(lambda one: one.nodes(scope), opened))
    return [node for nodes in lists for node in nodes if node.state is not NodeState.GONE]


def pick(nodes: Sequence[Node], name: str) -> Node:
    """The node of that name or id. Raises RefusedError naming the ones there are."""
    found = [node for node in nodes if name in (node.name, node.id)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(node.name for node in nodes) or "none"
    what = "no node" if not found else "more than one node"
    raise RefusedError(f"{what} is named {name!r}; there are: {there}", hint="spotdeploy list")
